"""A result as JSON, version 2. ``document.schema.json`` beside this file is its JSON Schema;
:func:`ssnan.results.reading.read_document` also reads version 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from ssnan.labels import LabelSet
from ssnan.results.geometry import center_of

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
        track: the person's number throughout a video.
    """

    area: int
    score: float | None
    box: Box
    parts: dict[str, Part]
    joints: dict[str, Point | None]
    track: NotRequired[int]


class Document(TypedDict):
    """The contents of one photo.

    Attributes:
        version: version of this format.
        image: file name of the photo or video.
        time: of a frame in its video, in seconds; None if it is not known.
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
    time: NotRequired[float | None]
    label_set: str
    classes: list[str]
    width: int
    height: int
    count: int | None
    people: list[PersonEntry]
    parts: dict[str, Part]
    joints: dict[str, Point | None]


def described(
    labels: NDArray[np.uint8],
    label_set: LabelSet,
    areas: Mapping[str, int],
    confidence: NDArray[np.float32] | None,
) -> dict[str, Part]:
    """Describe the parts of a label map.

    Args:
        labels: class ids, (H, W).
        label_set: their label set.
        areas: pixels of every part to describe.
        confidence: probability of the predicted class at every pixel, (H, W), 0..1; None if it is not known.
    """
    from scipy import ndimage

    windows = ndimage.find_objects(labels + np.uint8(1))  # find_objects ignores 0, which 255 becomes
    parts: dict[str, Part] = {}
    for name, area in areas.items():
        class_id = label_set.classes.index(name)
        rows, columns = window = windows[class_id]
        mask = labels[window] == class_id
        center = center_of(mask, columns.start, rows.start)
        assert center is not None
        mean = None if confidence is None else round(float(confidence[window][mask].mean(dtype=np.float64)), 4)
        extent = (columns.start, rows.start, columns.stop, rows.stop)
        parts[name] = {
            "id": class_id,
            "color": label_set.palette[class_id],
            "area": area,
            "confidence": mean,
            "extent": extent,
            "box": _box_of_largest_piece(mask, extent),
            "center": center,
        }
    return parts


def _box_of_largest_piece(mask: NDArray[np.bool_], extent: Box) -> Box:
    """The box in photo coordinates, for a mask (H, W) of ``extent``."""
    from scipy import ndimage

    left, top, *_ = extent
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 1:
        return extent
    rows, columns = ndimage.find_objects(pieces)[np.bincount(pieces.ravel())[1:].argmax()]
    return left + columns.start, top + rows.start, left + columns.stop, top + rows.stop
