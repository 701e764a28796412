"""OpenRaster for GIMP and Krita: one layer per part. https://www.openraster.org"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pyora import Project

from ssnan.results.result import ParsingResult


def openraster(result: ParsingResult) -> bytes:
    """The bytes of a file with the photo as the lowest layer and a cutout of each part above it. Without a photo, parts
    are filled with their colours.

    Raises:
        ImageError: the photo no longer exists.
    """
    height, width = result.labels.shape
    project = Project.new(width, height)
    photo = None if result.source is None else result.photo
    if photo is not None:
        project.add_layer(Image.fromarray(photo).convert("RGBA"), "photo")
    for class_id, name in enumerate(result.label_set.classes):
        mask = result.labels == class_id
        if class_id and mask.any():
            pixels = (
                np.full((height, width, 3), result.label_set.palette[class_id], np.uint8) if photo is None else photo
            )
            layer = np.dstack([np.where(mask[..., None], pixels, 0), mask.astype(np.uint8) * 255])
            project.add_layer(Image.fromarray(layer), name)
    buffer = io.BytesIO()
    project.save(buffer)
    return buffer.getvalue()
