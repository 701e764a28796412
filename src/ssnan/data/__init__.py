"""Datasets in their published layouts, augmentation, and batches.

:mod:`ssnan.data.lip` needs no torch; nothing is imported here, so that it stays so.
"""
