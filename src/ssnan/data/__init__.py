"""Datasets in their official layouts, and training batches from them.

Folders, layouts and the check do not need torch, so nothing is imported here.
"""
