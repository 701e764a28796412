"""Look into Person's folders as they come out of the official archives. No torch: evaluation of an
exported model reads them too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssnan.images import SUFFIXES, read_labels, read_rgb


class Sample(NamedTuple):
    """One picture (H, W, 3) and its labels (H, W), both uint8."""

    id: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class LIPFolder(Sequence[Sample]):
    """One split of a dataset in LIP's layout.

    ``TrainVal_images`` and ``TrainVal_parsing_annotations`` may be nested twice and spelled in any
    case; the flat form ``{split}_images``, ``{split}_segmentations``, ``{split}_id.txt`` works too.

    Args:
        root: the folder that holds them.
        split: ``train`` or ``val``.

    Raises:
        ValueError: the layout is not LIP's, or an id of the list lacks its picture or mask.
    """

    def __init__(self, root: str | Path, split: str) -> None:
        root = Path(root)
        if not root.is_dir():
            raise ValueError(f"{root}: no such folder; expected a dataset in LIP's layout")
        images = _find(root, f"{split}_images", "TrainVal_images")
        masks = _find(root, f"{split}_segmentations", "TrainVal_parsing_annotations")
        id_list = _find(root, f"{split}_id.txt", "TrainVal_images")
        self.ids = id_list.read_text().split()
        by_stem = {path.stem: path for path in images.iterdir() if path.suffix.lower() in SUFFIXES}
        self.pairs: list[tuple[Path, Path]] = []
        for sample_id in self.ids:
            mask = masks / f"{sample_id}.png"
            if sample_id not in by_stem:
                raise ValueError(f"{id_list}: {sample_id} has no picture in {images}")
            if not mask.is_file():
                raise ValueError(f"{id_list}: {sample_id} has no mask {mask}")
            self.pairs.append((by_stem[sample_id], mask))
        if not self.pairs:
            raise ValueError(f"{id_list}: the list is empty")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """Read sample ``index``.

        Raises:
            ImageError: a file is damaged.
            ValueError: picture and mask differ in size.
        """
        image_path, mask_path = self.pairs[index]
        image, labels = read_rgb(image_path), read_labels(mask_path)
        if image.shape[:2] != labels.shape:
            raise ValueError(f"{mask_path}: is {labels.shape} (rows, columns), its picture is {image.shape[:2]}")
        return Sample(self.ids[index], image, labels)


def _find(root: Path, name: str, parent: str) -> Path:
    """``name`` under ``root``, under ``parent``, or under ``parent`` nested twice, in any case."""
    places = [root]
    for _ in range(2):
        places += [child for place in places for child in _children(place, parent)]
    for place in places:
        for child in _children(place, name):
            return child
    raise ValueError(f"{root}: expected {name}, in {parent} or beside it (LIP's layout), found neither")


def _children(place: Path, name: str) -> list[Path]:
    return [child for child in place.iterdir() if child.name.lower() == name.lower()]
