"""Datasets in their official layouts, and the way from a folder to training batches.

Folders, layouts and the check need no torch; nothing is imported here, so that it stays so.
"""
