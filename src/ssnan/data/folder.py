"""One split of a dataset, whatever its layout: pairs of a picture and a mask, read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ssnan.errors import UserError
from ssnan.labels import LabelSet
from ssnan.parsing.images import ImageError, read_rgb
from ssnan.parsing.masks import read_labels
from ssnan.parsing.signatures import head_of, is_picture, without_ending


class DatasetError(UserError):
    """A dataset is not what it should be; the message names the file, what is wrong and what to do."""


NOBODY: NDArray[np.float32] = np.zeros((0, 17, 3), dtype=np.float32)
"""Keypoints of a picture of which none are known."""


class Sample(NamedTuple):
    """One picture (H, W, 3) and its labels (H, W), both uint8.

    Attributes:
        people: keypoints of its people, (n, 17, 3), see :data:`ssnan.data.keypoints.People`; none where they are not
            known.
    """

    id: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    people: NDArray[np.float32] = NOBODY


@runtime_checkable
class Place(Protocol):
    """Where a picture or mask lies: a path, or a stretch of a larger file that ``str`` names."""

    def read_bytes(self) -> bytes: ...


class Pair(NamedTuple):
    """Where a sample lies."""

    id: str
    image: Place
    mask: Place


@dataclass(frozen=True)
class ParsingFolder:
    """One split of a dataset; :func:`ssnan.data.layouts.open_split` makes them.

    Attributes:
        label_set: what the masks' values mean.
        pairs: the samples in the order of the split's list.
        missing: what the list names and the folders lack, a line each; :func:`open_split
            <ssnan.data.layouts.open_split>` hands out no folder that has any.
        read_mask: a mask's place to label ids, uint8 (H, W).
        people: keypoints by a sample's name, where the dataset has them.
    """

    label_set: LabelSet
    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    read_mask: Callable[[Any], NDArray[np.uint8]] = read_labels
    people: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``.

        Raises:
            ImageError: a file is damaged.
            DatasetError: picture and mask differ in size, or the mask holds an id that is no class.
        """
        sample_id, image_path, mask_path = self.pairs[index]
        image, labels = read_picture(image_path), self.read_mask(mask_path)
        if image.shape[:2] != labels.shape:
            raise DatasetError(f"{mask_path}: is {labels.shape} (rows, columns), its picture is {image.shape[:2]}")
        wrong = foreign_ids(labels, self.label_set)
        if wrong:
            raise DatasetError(
                f"{mask_path}: holds label id {wrong[0]}, which is no class of {self.label_set.name!r} "
                f"(0..{len(self.label_set) - 1}), none of its sets, nor the ignored value {self.label_set.ignore_index}"
            )
        return Sample(sample_id, image, labels, self.people.get(sample_id, NOBODY))


def read_picture(place: Place) -> NDArray[np.uint8]:
    """Pixels of a picture wherever it lies; see :func:`ssnan.parsing.images.read_rgb`."""
    return read_place(read_rgb, place)


def read_place(read: Callable[[Any], NDArray[np.uint8]], place: Place) -> NDArray[np.uint8]:
    """What ``read`` makes of a path, or of the bytes of another place, which its errors then name."""
    if isinstance(place, Path):
        return read(place)
    try:
        return read(place.read_bytes())
    except ImageError as error:
        raise type(error)(str(error).replace("image bytes", str(place))) from None


def foreign_ids(labels: NDArray[np.uint8], label_set: LabelSet) -> list[int]:
    """Values of a mask that are neither a class, nor a set of classes, nor ignored, ascending."""
    known: NDArray[np.bool_] = np.logical_or.reduce(label_set.membership, axis=1)
    known[label_set.ignore_index] = True
    return [int(value) for value in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if not known[value]]


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """Every picture directly in ``folder``, by its name without ending."""
    return {path.stem: path for path in sorted(folder.iterdir()) if _is_picture(path)}


def _is_picture(path: Path) -> bool:
    return path.is_file() and is_picture(path, lambda: head_of(path))


def paired(
    ids: Iterable[tuple[str, str]], images: Path, masks: Path, listed_in: Path
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Pairs of a picture's and a mask's name, with or without an ending, found in ``images`` and, as PNG, in ``masks``;
    and a line for each that is not."""
    by_stem = pictures_by_stem(images)
    pairs, missing = [], []
    for name, mask_name in ids:
        stem = _stem_in(by_stem, name)
        mask = masks / f"{stem if mask_name == name else without_ending(mask_name)}.png"
        if stem not in by_stem:
            missing.append(f"{listed_in}: {stem} has no picture in {images}")
        elif not mask.is_file():
            missing.append(f"{listed_in}: {stem} has no mask {mask}")
        else:
            pairs.append(Pair(stem, by_stem[stem], mask))
    return tuple(pairs), tuple(missing)


def without_masks(ids: Iterable[str], images: Path, listed_in: Path) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Pictures of ``images`` that stand for their own masks; and a line for each that is missing."""
    by_stem = pictures_by_stem(images)
    names = [_stem_in(by_stem, name) for name in ids]
    pairs = tuple(Pair(stem, by_stem[stem], by_stem[stem]) for stem in names if stem in by_stem)
    missing = tuple(f"{listed_in}: {stem} has no picture in {images}" for stem in names if stem not in by_stem)
    return pairs, missing


def _stem_in(by_stem: Mapping[str, Path], name: str) -> str:
    """The picture's name without its ending; what follows a dot need not be one."""
    return name if name in by_stem else without_ending(name)
