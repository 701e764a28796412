"""PASCAL-Person-Part: photos of VOC 2010 with the part masks of Chen et al. (https://arxiv.org/abs/1406.2031)."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from ssnan.data.folder import DatasetError, ParsingFolder, paired
from ssnan.io.lists import text_of
from ssnan.labels import PASCAL_PERSON_PART

PLACES = ("", "pascal_person_part", "VOC2010", "VOCdevkit/VOC2010")
"""Subfolders of the root in common copies of the dataset."""


def open_pascal_person_part(root: Path, split: str) -> ParsingFolder:
    """One split (``train``, ``val`` or ``trainval``).

    ``JPEGImages``, ``pascal_person_part_gt`` and ``pascal_person_part_trainval_list`` (or ``SegmentationPart`` and
    ``list``) are in the root, or in the folders of the archives of VOC and the parts. A line of a list has photo and
    mask, "/JPEGImages/a.jpg /…_gt/a.png". Masks are palette PNG files in VOC's colours; only their indices are read.
    The public lists of train and val have 1,716 and 1,817 photos, one fewer each than the paper says; its test split is
    this val.

    Raises:
        DatasetError: the folder has another layout, or there is no such split.
    """
    images = _find(root, "JPEGImages")
    masks = _find(root, "pascal_person_part_gt", "SegmentationPart")
    listed_in = _find(root, "pascal_person_part_trainval_list", "list") / f"{split}.txt"
    if not listed_in.is_file():
        have = ", ".join(sorted(path.stem for path in listed_in.parent.glob("*.txt")))
        raise DatasetError(f"{listed_in}: no such list; there are {have or 'none'}")
    lines = [line.split() for line in text_of(listed_in.read_bytes()).splitlines() if line.strip()]
    names = [(PureWindowsPath(line[0]).name, PureWindowsPath(line[-1]).name) for line in lines]
    return ParsingFolder(PASCAL_PERSON_PART, *paired(names, images, masks, listed_in))


def _find(root: Path, *names: str) -> Path:
    for place in PLACES:
        for name in names:
            if (root / place / name).is_dir():
                return root / place / name
    raise DatasetError(f"{root}: expected a folder {' or '.join(names)} (PASCAL-Person-Part's layout), found none")
