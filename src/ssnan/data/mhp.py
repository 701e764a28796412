"""Multi-Human Parsing 1.0 and 2.0 in the layout of their archives (Li et al., 2017; Zhao et al., ACM MM 2018): one mask
per person, ``<photo>_<people>_<person>.png``.

The classes are read as LIP's. Classes without a counterpart become the ignored value. Objects that people hold, which
only version 2 tells from what they wear, count in neither map.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssnan.data.folder import DatasetError, Pair, ParsingFolder, photos_by_stem
from ssnan.io.lists import text_of
from ssnan.io.masks import read_colors, read_labels
from ssnan.labels import ATR, LIP, UNKNOWN_PERSON

PLACES = ("", "LV-MHP-v1", "LV-MHP-v2", "MHP")
"""Subfolders of the root in common copies of the datasets."""

FIRST = tuple(name if name in LIP.classes else "" for name in ATR.classes)
"""The class of LIP for each id of version 1, which has ATR's classes and ``torso-skin``; empty if there is none."""

HELD = "held"
"""Stands for an object that is no part of a person."""

SECOND = (
    "background", "hat", "hat", "face", "hair", "left-arm", "right-arm", "left-arm", "right-arm", "", "upper-clothes",
    "coat", "upper-clothes", "upper-clothes", "upper-clothes", "upper-clothes", "", "pants", "pants", "skirt", "socks",
    "socks", "left-shoe", "right-shoe", "left-shoe", "right-shoe", "left-shoe", "right-shoe", "left-shoe", "right-shoe",
    "left-leg", "right-leg", "left-leg", "right-leg", "coat", "dress", "dress", "jumpsuits", "", "hat", HELD, HELD,
    HELD, "", HELD, HELD, HELD, "sunglasses", "", "gloves", "scarf", HELD, HELD, "", "", "", "", "upper-clothes",
    "pants",
)  # fmt: skip
"""The same for the 58 classes of version 2, in the order of their ids."""


def is_mhp(root: Path) -> bool:
    """Whether ``root`` has MHP's layout."""
    return _version(root) is not None


def open_mhp(root: Path, split: str) -> ParsingFolder:
    """One split. Version 1 has ``images``, ``annotations``, ``train_list.txt`` and ``test_list.txt``, which is ``val``;
    version 2 has ``train`` and ``val`` with ``images`` and ``parsing_annos``, and ``list/train.txt`` and
    ``list/val.txt``.

    Raises:
        DatasetError: there is no such split, or the list is missing.
    """
    found = _version(root)
    if found is None:
        raise DatasetError(f"{root}: expected annotations or train/parsing_annos (MHP's layout), found neither")
    home, first = found
    if split not in ("train", "val"):
        raise DatasetError(f"{root}: no split {split!r}; expected train or val")
    if first:
        listed_in = home / ("train_list.txt" if split == "train" else "test_list.txt")
        images, masks = home / "images", home / "annotations"
    else:
        listed_in = home / "list" / f"{split}.txt"
        images, masks = home / split / "images", home / split / "parsing_annos"
    if not listed_in.is_file():
        raise DatasetError(f"{listed_in}: no such list")
    by_stem = photos_by_stem(images)
    firsts = {_photo_of(path): path for path in sorted(masks.glob("*.png"), reverse=True)}
    pairs, missing = [], []
    for name in text_of(listed_in.read_bytes()).split():
        stem = Path(name).stem
        if stem in by_stem and stem in firsts:
            pairs.append(Pair(stem, by_stem[stem], firsts[stem]))
        else:
            missing.append(f"{listed_in}: {stem} has no {'mask' if stem in by_stem else 'photo'}")
    meanings = FIRST if first else SECOND
    return ParsingFolder(
        LIP,
        tuple(pairs),
        tuple(missing),
        read_mask=partial(_read_labels, meanings=meanings),
        read_instances=partial(_read_instances, meanings=meanings),
        mask_files=_files,
    )


def _version(root: Path) -> tuple[Path, bool] | None:
    """The folder of the dataset, and whether it is version 1."""
    for place in PLACES:
        if (root / place / "annotations").is_dir() and (root / place / "train_list.txt").is_file():
            return root / place, True
        if any((root / place / split / "parsing_annos").is_dir() for split in ("train", "val")):
            return root / place, False
    return None


def _photo_of(mask: Path) -> str:
    return re.sub(r"_\d+_\d+$", "", mask.stem)


def _files(first: Path) -> list[Path]:
    """The masks of every person of a photo, given that of one of them."""
    photo, total, _ = first.stem.rsplit("_", 2)
    paths = [first.with_name(f"{photo}_{total}_{number:02}.png") for number in range(int(total) + 1)]
    return [path for path in paths if path.is_file()]


def _masks(first: Path) -> list[NDArray[np.uint8]]:
    """The ids of every person of a photo, given the mask of one of them."""
    masks = []
    for path in _files(first):
        colors = read_colors(path)  # some copies repeat the ids in each colour
        masks.append(read_labels(path) if colors is None else colors[..., 0])
    if len({mask.shape for mask in masks}) > 1:
        raise DatasetError(f"{first}: the masks of its photo differ in size")
    return masks


def _read_labels(first: Path, meanings: tuple[str, ...]) -> NDArray[np.uint8]:
    table = np.full(256, LIP.ignore_index, dtype=np.uint8)
    for class_id, name in enumerate(meanings):
        if name in LIP.classes:
            table[class_id] = LIP.classes.index(name)
    masks = _masks(first)
    labels = np.zeros_like(masks[0])
    for mask in masks:
        labels[mask > 0] = table[mask[mask > 0]]
    return labels


def _read_instances(pair: Pair, meanings: tuple[str, ...]) -> NDArray[np.uint8]:
    held = [class_id for class_id, name in enumerate(meanings) if name == HELD]
    masks = _masks(Path(str(pair.mask)))
    people = np.zeros_like(masks[0])
    for number, mask in enumerate(masks, start=1):
        people[mask > 0] = number
        people[np.isin(mask, held)] = UNKNOWN_PERSON
    return people
