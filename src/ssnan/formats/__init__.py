"""Conversion of results to other formats: datasets, annotation tools, image editors."""
