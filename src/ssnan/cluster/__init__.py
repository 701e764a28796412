"""Catalogs of photos, parsed on one machine or many: each photo once, even if processes are killed.

:mod:`items` finds and reads photos. :mod:`catalog` tracks what is done and stores new results. :mod:`isolation` parses
a shard in a process that may die. :mod:`workers` runs many of these processes, locally or on Ray.
"""
