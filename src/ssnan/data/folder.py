"""One split of a dataset in any layout: pairs of photo and mask, read on access."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ssnan.errors import UserError
from ssnan.io.images import read_rgb
from ssnan.io.masks import read_labels
from ssnan.io.opening import ImageError
from ssnan.io.signatures import head_of, is_photo, without_ending
from ssnan.labels import LabelSet


class DatasetError(UserError):
    """A dataset is invalid; the message names the file, the problem and the fix."""


NOBODY: NDArray[np.float32] = np.zeros((0, 17, 3), dtype=np.float32)
"""The keypoints of a photo without keypoints."""


class Sample(NamedTuple):
    """One photo (H, W, 3) and its labels (H, W), both uint8.

    Attributes:
        keypoints: those of the people, (n, 17, 3), see :data:`ssnan.data.keypoints.Keypoints`; n is 0 if they are
            unknown.
        instances: the person of each pixel, (H, W), see :mod:`ssnan.data.instances`; None if people are not told apart.
    """

    id: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    keypoints: NDArray[np.float32] = NOBODY
    instances: NDArray[np.uint8] | None = None


@runtime_checkable
class Place(Protocol):
    """The location of a photo or mask: a path, or a part of a larger file; ``str`` names it."""

    def read_bytes(self) -> bytes: ...


def one_file(mask: Path) -> list[Path]:
    """The files of a mask in most layouts."""
    return [mask]


class Pair(NamedTuple):
    """The location of a sample."""

    id: str
    image: Place
    mask: Place


@dataclass(frozen=True)
class ParsingFolder:
    """One split of a dataset, from :func:`ssnan.data.layouts.open_split`.

    Attributes:
        label_set: label set of the masks.
        pairs: the samples, in the order of the list.
        missing: one line per listed file that does not exist; :func:`open_split <ssnan.data.layouts.open_split>` never
            returns a folder with missing files.
        read_mask: reads the label ids at a location, uint8 (H, W).
        keypoints: those of the people in a photo, by the name of a sample, if the dataset has any.
        read_instances: reads the person at every pixel of a sample, uint8 (H, W), see :mod:`ssnan.data.instances`; None
            if the dataset does not tell people apart.
        mask_files: the files of the mask at a path.
    """

    label_set: LabelSet
    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    read_mask: Callable[[Any], NDArray[np.uint8]] = read_labels
    keypoints: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    read_instances: Callable[[Pair], NDArray[np.uint8]] | None = None
    mask_files: Callable[[Path], list[Path]] = one_file

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``.

        Raises:
            ImageError: a file is damaged.
            DatasetError: photo and mask differ in size, or the mask has an id without a class.
        """
        sample_id, image_path, mask_path = pair = self.pairs[index]
        image, labels = read_photo(image_path), self.read_mask(mask_path)
        if image.shape[:2] != labels.shape:
            raise DatasetError(f"{mask_path}: is {labels.shape} (rows, columns), but its photo is {image.shape[:2]}")
        wrong = foreign_ids(labels, self.label_set)
        if wrong:
            raise DatasetError(
                f"{mask_path}: has label id {wrong[0]}, which is not a class of {self.label_set.name!r} "
                f"(0..{len(self.label_set) - 1}), one of its sets, or the ignored value {self.label_set.ignore_index}"
            )
        instances = None if self.read_instances is None else self.read_instances(pair)
        if instances is not None and instances.shape != labels.shape:
            raise DatasetError(
                f"{mask_path}: is {labels.shape} (rows, columns), but its map of people is {instances.shape}"
            )
        return Sample(sample_id, image, labels, self.keypoints.get(sample_id, NOBODY), instances)


def read_photo(place: Place) -> NDArray[np.uint8]:
    """Read a photo from any location, see :func:`ssnan.io.images.read_rgb`."""
    return read_place(read_rgb, place)


def read_place(read: Callable[[Any], NDArray[np.uint8]], place: Place) -> NDArray[np.uint8]:
    """Call ``read`` with a path, or with the bytes of another location; errors name the location."""
    if isinstance(place, Path):
        return read(place)
    try:
        return read(place.read_bytes())
    except ImageError as error:
        raise type(error)(str(error).replace("image bytes", str(place))) from None


def foreign_ids(labels: NDArray[np.uint8], label_set: LabelSet) -> list[int]:
    """The values of a mask that are not a class, a set of classes or the ignored value, in ascending order."""
    known: NDArray[np.bool_] = np.logical_or.reduce(label_set.membership, axis=1)
    known[label_set.ignore_index] = True
    return [int(value) for value in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if not known[value]]


def photos_by_stem(folder: Path) -> dict[str, Path]:
    """The images in ``folder`` by name without suffix.

    Raises:
        DatasetError: two images differ only in their suffix.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if _is_photo(path) and found.setdefault(path.stem, path) != path:
            raise DatasetError(f"{path}: its name differs from {found[path.stem].name} only in the suffix; rename one")
    return found


def _is_photo(path: Path) -> bool:
    return path.is_file() and is_photo(path, lambda: head_of(path))


def paired(
    ids: Iterable[tuple[str, str]], images: Path, masks: Path, listed_in: Path
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Find pairs of photo and mask by name, with or without suffix: photos in ``images``, and PNG masks in ``masks``.
    Returns the pairs, and one line per missing file."""
    by_stem = photos_by_stem(images)
    pairs, missing = [], []
    for name, mask_name in ids:
        stem = _stem_in(by_stem, name)
        mask = masks / f"{stem if mask_name == name else without_ending(mask_name)}.png"
        if stem not in by_stem:
            missing.append(f"{listed_in}: {stem} has no photo in {images}")
        elif not mask.is_file():
            missing.append(f"{listed_in}: {stem} has no mask {mask}")
        else:
            pairs.append(Pair(stem, by_stem[stem], mask))
    return tuple(pairs), tuple(missing)


def without_masks(ids: Iterable[str], images: Path, listed_in: Path) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Pairs in which the photo also stands for the mask, and one line per missing photo."""
    by_stem = photos_by_stem(images)
    names = [_stem_in(by_stem, name) for name in ids]
    pairs = tuple(Pair(stem, by_stem[stem], by_stem[stem]) for stem in names if stem in by_stem)
    missing = tuple(f"{listed_in}: {stem} has no photo in {images}" for stem in names if stem not in by_stem)
    return pairs, missing


def _stem_in(by_stem: Mapping[str, Path], name: str) -> str:
    """The name of a photo without its suffix; text after a dot may also be part of the name."""
    return name if name in by_stem else without_ending(name)
