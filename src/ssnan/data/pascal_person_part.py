"""PASCAL-Person-Part: VOC 2010 photographs with the part masks of Chen et al. [5]."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from ssnan.data.folder import DatasetError, ParsingFolder, paired
from ssnan.labels import PASCAL_PERSON_PART
from ssnan.parsing.lists import text_of

PLACES = ("", "pascal_person_part", "VOC2010", "VOCdevkit/VOC2010")
"""Where below the root its parts are found, in the copies that go round."""


def open_pascal_person_part(root: Path, split: str) -> ParsingFolder:
    """One split (``train``, ``val`` or ``trainval``).

    ``JPEGImages``, ``pascal_person_part_gt`` and ``pascal_person_part_trainval_list`` (or
    ``SegmentationPart`` and ``list``) lie in the root or in the folders that VOC and the part
    archive unpack to. A line of a list holds picture and mask, "/JPEGImages/a.jpg /…_gt/a.png".
    Masks are palette PNGs in VOC's colours: their indices are read, never their colours.

    Raises:
        DatasetError: the layout is another, or there is no such split.
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
