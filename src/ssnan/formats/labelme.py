"""LabelMe: one JSON file per photo. https://github.com/wkentaro/labelme"""

from __future__ import annotations

from typing import Any

from ssnan.formats.folder import NamedResult
from ssnan.formats.polygons import TOLERANCE, one_ring, polygons

VERSION = "5.5.0"
"""The version of LabelMe that wrote this format; newer versions read it."""


def annotation(named: NamedResult, image_path: str, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """The JSON document, with one polygon per connected region of each part; the regions of a part form a group.

    Args:
        named: the result.
        image_path: path of the photo, relative to the JSON file.
        tolerance: see :func:`~ssnan.formats.polygons.polygons`.
    """
    height, width = named.result.labels.shape
    shapes = [
        {
            "label": name, "points": [list(point) for point in one_ring(piece)], "group_id": group,
            "description": "", "shape_type": "polygon", "flags": {},
        }
        for group, (name, pieces) in enumerate(polygons(named.result, tolerance).items())
        for piece in pieces
    ]  # fmt: skip
    return {
        "version": VERSION, "flags": {}, "shapes": shapes,
        "imagePath": image_path, "imageData": None, "imageHeight": height, "imageWidth": width,
    }  # fmt: skip
