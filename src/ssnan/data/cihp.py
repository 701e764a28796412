"""Crowd Instance-level Human Parsing in the layout of its archive (Gong et al., ECCV 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssnan.data.folder import DatasetError, Pair, ParsingFolder, paired
from ssnan.io.lists import text_of
from ssnan.io.masks import read_labels
from ssnan.labels import LIP

PLACES = ("", "instance-level_human_parsing", "CIHP")
"""Subfolders of the root in common copies of the dataset."""

SPLITS = {"train": "Training", "val": "Validation"}

TORSO_SKIN = 10
"""CIHP has LIP's classes, but ``torso-skin`` in the place of ``jumpsuits``; it becomes the ignored value."""


def is_cihp(root: Path) -> bool:
    """Whether ``root`` has CIHP's layout."""
    return any((root / place / folder / "Category_ids").is_dir() for place in PLACES for folder in SPLITS.values())


def open_cihp(root: Path, split: str) -> ParsingFolder:
    """One split (``train`` or ``val``): ``Training`` or ``Validation`` with ``Images``, ``Category_ids``, ``Human_ids``
    and ``train_id.txt`` or ``val_id.txt``.

    Raises:
        DatasetError: the folder has another layout, or there is no such split.
    """
    if split not in SPLITS:
        raise DatasetError(f"{root}: no split {split!r}; expected one of {', '.join(SPLITS)}")
    for place in PLACES:
        folder = root / place / SPLITS[split]
        listed_in = folder / f"{split}_id.txt"
        if listed_in.is_file() and (folder / "Human_ids").is_dir():
            ids = text_of(listed_in.read_bytes()).split()
            found = paired(zip(ids, ids, strict=True), folder / "Images", folder / "Category_ids", listed_in)
            return ParsingFolder(LIP, *found, read_mask=_read_categories, read_instances=_read_instances)
    raise DatasetError(f"{root}: expected {SPLITS[split]}/Human_ids and {SPLITS[split]}/{split}_id.txt (CIHP's layout)")


def _read_categories(mask: Path) -> NDArray[np.uint8]:
    labels = read_labels(mask)
    return np.where(labels == TORSO_SKIN, np.uint8(LIP.ignore_index), labels)


def _read_instances(pair: Pair) -> NDArray[np.uint8]:
    mask = Path(str(pair.mask))
    return read_labels(mask.parent.with_name("Human_ids") / mask.name)
