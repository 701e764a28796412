"""A result as JSON, version 2. ``document.schema.json`` beside this file is its JSON Schema;
:func:`ssnan.parsing.reading.read_document` also reads version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from ssnan.parsing.result import center_of

if TYPE_CHECKING:
    from ssnan.parsing.person import Person
    from ssnan.parsing.result import ParsingResult

VERSION = 2

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""

Point = tuple[float, float]
"""x, y in pixels."""


class Part(TypedDict):
    """One class that occurs in the photo.

    Attributes:
        id: label id.
        color: red, green and blue in the label map, 0..255.
        area: number of pixels.
        confidence: mean probability of the class over its pixels, 0..1; None for a label map from a file.
        extent: box of all its pixels.
        box: box of its largest connected region; diagonal neighbours are connected.
        center: centre of mass.
    """

    id: int
    color: tuple[int, int, int]
    area: int
    confidence: float | None
    extent: Box
    box: Box
    center: Point


class PersonEntry(TypedDict):
    """One person.

    Attributes:
        area: number of pixels.
        score: mean probability of a person over the pixels, 0..1; None for a label map from a file.
        box: box of all pixels.
        parts: every part of the person.
        joints: centre of every region; None if the region does not occur.
    """

    area: int
    score: float | None
    box: Box
    parts: dict[str, Part]
    joints: dict[str, Point | None]


class Document(TypedDict):
    """The contents of one photo.

    Attributes:
        version: version of this format.
        image: file name of the photo.
        label_set: name of the label set.
        classes: names of its classes, in the order of the ids.
        width, height: size of the photo in pixels.
        count: number of people; None if a document of version 1 does not tell.
        people: every person, largest first.
        parts: every class that occurs in the whole photo, including the background.
        joints: centre of every region (Section 3.3), of all people together; None if the region does not occur.
    """

    version: int
    image: NotRequired[str]
    label_set: str
    classes: list[str]
    width: int
    height: int
    count: int | None
    people: list[PersonEntry]
    parts: dict[str, Part]
    joints: dict[str, Point | None]


def document(result: ParsingResult) -> Document:
    """Convert a result to plain values."""
    height, width = result.labels.shape
    people = result.people
    return {
        "version": VERSION,
        "label_set": result.label_set.name,
        "classes": list(result.label_set.classes),
        "width": width,
        "height": height,
        "count": len(people),
        "people": [_person(person) for person in people],
        "parts": _parts(result),
        "joints": dict(result.joints),
    }


def _person(person: Person) -> PersonEntry:
    parts = {name: part for name, part in _parts(person).items() if name in person.parts}
    return {
        "area": sum(person.parts.values()),
        "score": None if person.score is None else round(person.score, 4),
        "box": person.box,
        "parts": parts,
        "joints": dict(person.joints),
    }


def _parts(result: ParsingResult) -> dict[str, Part]:
    from scipy import ndimage

    windows = ndimage.find_objects(result.labels.astype(np.int32) + 1)  # find_objects ignores 0
    return {name: _part(result, name, windows[result.label_set.classes.index(name)]) for name in result.areas}


def _part(result: ParsingResult, name: str, window: tuple[slice, slice]) -> Part:
    class_id = result.label_set.classes.index(name)
    rows, columns = window
    mask = result.labels[window] == class_id
    center = center_of(mask)
    assert center is not None
    confidence = None
    if result.scores is not None:
        confidence = round(float(result.confidence[window][mask].mean(dtype=np.float64)), 4)
    extent = (columns.start, rows.start, columns.stop, rows.stop)
    return {
        "id": class_id,
        "color": result.label_set.palette[class_id],
        "area": result.areas[name],
        "confidence": confidence,
        "extent": extent,
        "box": _box_of_largest_piece(mask, extent),
        "center": (columns.start + center[0], rows.start + center[1]),
    }


def _box_of_largest_piece(mask: NDArray[np.bool_], extent: Box) -> Box:
    """The box in photo coordinates, for a mask (H, W) of ``extent``."""
    from scipy import ndimage

    left, top, *_ = extent
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 1:
        return extent
    rows, columns = ndimage.find_objects(pieces)[np.bincount(pieces.ravel())[1:].argmax()]
    return left + columns.start, top + rows.start, left + columns.stop, top + rows.stop
