"""Datasets in their published layouts, augmentation, and batches."""

from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.lip import LIPFolder

__all__ = ["LIPFolder", "ParsingData", "Source"]
