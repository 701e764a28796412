"""Catalogues of pictures, on one machine or many: every picture once, whatever is killed meanwhile.

From the pictures' places to results: :mod:`items` finds and reads them, :mod:`catalog` knows what is done and takes
what is new, :mod:`isolation` parses a shard of them in a process that may die, :mod:`workers` has many of those, here
or on Ray.
"""
