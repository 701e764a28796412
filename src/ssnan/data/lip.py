"""Look into Person in the layout of its official archives."""

from __future__ import annotations

from pathlib import Path

from ssnan.data.folder import DatasetError, ParsingFolder, paired
from ssnan.io.lists import text_of
from ssnan.labels import LIP


def open_lip(root: Path, split: str) -> ParsingFolder:
    """One split (``train`` or ``val``) of a dataset in LIP's layout.

    ``TrainVal_images`` and ``TrainVal_parsing_annotations`` may be nested twice and have any case. The flat layout
    ``{split}_images``, ``{split}_segmentations``, ``{split}_id.txt`` works too.

    Raises:
        DatasetError: the folder has another layout.
    """
    images = _find(root, f"{split}_images", "TrainVal_images")
    masks = _find(root, f"{split}_segmentations", "TrainVal_parsing_annotations")
    listed_in = _find(root, f"{split}_id.txt", "TrainVal_images")
    ids = text_of(listed_in.read_bytes()).split()
    return ParsingFolder(LIP, *paired(zip(ids, ids, strict=True), images, masks, listed_in))


def _find(root: Path, name: str, parent: str) -> Path:
    """Find ``name`` in ``root``, in ``parent``, or in ``parent`` nested twice, in any case."""
    places = [root]
    for _ in range(2):
        places += [child for place in places for child in _children(place, parent)]
    for place in places:
        for child in _children(place, name):
            return child
    raise DatasetError(
        f"{root}: expected dataset.yaml, or {name} in {parent} or beside it (LIP's layout), found neither"
    )


def _children(place: Path, name: str) -> list[Path]:
    return [child for child in place.iterdir() if child.name.lower() == name.lower()]
