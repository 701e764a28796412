"""The input of a conversion: the label maps of a folder, with their photos if known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssnan.errors import UserError, printable, quoted
from ssnan.io.masks import read_labels
from ssnan.io.opening import explained, opened_image
from ssnan.io.pixels import upright_size
from ssnan.io.storing import is_map, photo_of
from ssnan.labels import LabelSet
from ssnan.parsing.inputs import find_inputs, is_video
from ssnan.results.reading import read_document
from ssnan.results.result import ParsingResult


class FormatError(UserError):
    """Maps cannot be converted; the message says which one and why."""


@dataclass(frozen=True)
class NamedResult:
    """A result with its file name.

    Attributes:
        stem: name of the map without its suffix, relative to its folder, with /. Every result has its own, also those
            of ``x.jpg`` and ``x.png``.
        file_name: name of the photo, or of the map if the photo is unknown, relative to its folder, with /.
        result: the result; its ``source`` is the photo or None.
    """

    stem: str
    file_name: str
    result: ParsingResult


def find_maps(folder: Path) -> list[Path]:
    """The label maps of ``ssnan parse`` in a folder and its subfolders, without overlays, masks and maps of one
    person."""
    return [path for path in sorted(folder.rglob("*.png")) if is_map(path)]


def is_map_or_document(path: Path) -> bool:
    """Whether a file is a label map or a JSON of ``ssnan parse``."""
    if path.suffix != ".json":
        return is_map(path)
    try:
        read_document(path.read_bytes())
    except (OSError, UserError):
        return False
    return True


def without_specks(result: ParsingResult, min_area: int) -> ParsingResult:
    """The result with connected regions of fewer than ``min_area`` pixels of one class replaced by the nearest pixel of
    a larger region: by its class and, in ``instances``, its person. A map with only small regions is unchanged."""
    labels, people = result.labels, result.instances
    small = np.zeros(labels.shape, dtype=bool)
    for class_id in np.unique(labels):
        pieces, _ = ndimage.label(labels == class_id)
        few = np.bincount(pieces.ravel()) < min_area
        few[0] = False  # pixels of other classes
        small |= few[pieces]
    if small.all() or not small.any():
        return result
    nearest = tuple(ndimage.distance_transform_edt(small, return_distances=False, return_indices=True))
    return replace(result, labels=labels[nearest], instances=None if people is None else people[nearest])


def read_folder(folder: Path, photos: Path | None = None, min_area: int = 0) -> Iterator[NamedResult]:
    """Yield the label maps of a folder.

    Args:
        folder: results of ``ssnan parse``.
        photos: folder of the photos; if given, results have the names of their photos.
        min_area: pixels, see :func:`without_specks`.

    Raises:
        FormatError: there is no map, maps differ in their labels, a map's photo is missing or has another size, or the
            people beside a map are those of another photo or size.
        ImageError: a map or a photo cannot be read.
    """
    maps = find_maps(folder)
    if not maps:
        raise FormatError(f"{quoted(folder)}: has no label map; expected a folder that 'ssnan parse' wrote")
    inputs = {} if photos is None else find_inputs([str(photos)], True)
    named_after = {name: path for path, name in inputs.items() if not is_video(path)}  # a phone writes a.jpg and a.mov
    called = {path.with_name(printable(path.name)): path for path in named_after.values()}
    first: LabelSet | None = None
    for path in maps:
        result = ParsingResult.load(path)
        result = without_specks(replace(result, instances=_people_of(path, result)), min_area)
        first = first or result.label_set
        if result.label_set.classes != first.classes:
            raise FormatError(
                f"{quoted(path)}: its labels are not those of the maps before: {result.label_set.difference(first)}; "
                "convert them separately"
            )
        name = path.relative_to(folder)
        stem = name.with_suffix("")
        if photos is None:
            yield NamedResult(stem.as_posix(), name.as_posix(), result)
            continue
        # A name without suffix depends on the photos beside it, so the name in the map comes first.
        photo = called.get(photos / name.parent / (photo_of(path) or "")) or named_after.get(stem)
        if photo is None:
            raise FormatError(f"{quoted(path)}: its photo is not in {quoted(photos)}")
        (width, height), (rows, columns) = _upright_size(photo), result.labels.shape
        if (width, height) != (columns, rows):
            raise FormatError(
                f"{quoted(photo)}: is {width} × {height}, but its map is {columns} × {rows}; --photos takes the photos "
                "that were parsed"
            )
        yield NamedResult(stem.as_posix(), photo.relative_to(photos).as_posix(), replace(result, source=photo))


def _upright_size(photo: Path) -> tuple[int, int]:
    """Width and height of a photo in its EXIF orientation. Reads only what stands before the pixels."""

    def read() -> tuple[int, int]:
        with opened_image(photo) as opened:
            return upright_size(opened)

    size: tuple[int, int] = explained(quoted(photo), read)
    return size


def _people_of(path: Path, result: ParsingResult) -> NDArray[np.uint8] | None:
    """The people of a map if ``ssnan parse --people`` wrote them, otherwise None."""
    place = path.with_name(f"{path.stem}.people.png")
    if not place.is_file():
        return None
    numbers = read_labels(place)
    if numbers.shape != result.labels.shape:
        raise FormatError(f"{quoted(place)}: is {numbers.shape} (rows, columns), but its map is {result.labels.shape}")
    photo, other = photo_of(path), photo_of(place)
    if photo and other and photo != other:  # x.people.png of x.jpg beside x.png of x.tif
        raise FormatError(
            f"{quoted(place)}: is a result of {quoted(other)}, but its map is one of {quoted(photo)}; remove it"
        )
    return numbers
