"""LabelMe's JSON: a file for a picture. https://github.com/wkentaro/labelme"""

from __future__ import annotations

from typing import Any

from ssnan.formats.picture import Picture
from ssnan.formats.polygons import TOLERANCE, one_ring, polygons

VERSION = "5.5.0"
"""Of LabelMe, whose format this is; newer ones read it."""


def annotation(picture: Picture, image_path: str, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """What LabelMe opens: a polygon for each connected piece of each part, pieces of a part in one group.

    Args:
        picture: the result.
        image_path: of the photo, relative to where the JSON will be.
        tolerance: of the polygons.
    """
    height, width = picture.result.labels.shape
    shapes = [
        {
            "label": name, "points": [list(point) for point in one_ring(piece)], "group_id": group,
            "description": "", "shape_type": "polygon", "flags": {},
        }
        for group, (name, pieces) in enumerate(polygons(picture.result, tolerance).items())
        for piece in pieces
    ]  # fmt: skip
    return {
        "version": VERSION, "flags": {}, "shapes": shapes,
        "imagePath": image_path, "imageData": None, "imageHeight": height, "imageWidth": width,
    }  # fmt: skip
