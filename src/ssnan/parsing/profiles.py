"""Colour profiles: what a picture's numbers mean, brought to sRGB, which everything that reads results expects."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

CLOSE = 2
"""Levels of 256 by which a profile may differ from sRGB and count as it."""


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture of mode L, RGB or CMYK in sRGB. It stays as it is where it has no profile, one of another kind of
    picture or a damaged one, or one that is sRGB anyway."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    if image.mode != "CMYK":
        levels = np.linspace(0, 255, 6).round().astype(np.uint8)
        table = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        swatch = Image.fromarray(table).convert(image.mode)
        changed = ImageCms.applyTransform(swatch, transform)
        assert changed is not None
        if np.abs(np.asarray(changed, dtype=int) - np.asarray(swatch.convert("RGB"), dtype=int)).max() <= CLOSE:
            return image
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted
