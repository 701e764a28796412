"""Convert colour profiles to sRGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

CLOSE = 2
"""The largest difference, in levels of 256, of a profile that counts as sRGB."""


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image of mode L, RGB or CMYK to sRGB. It stays unchanged if its profile is missing, damaged, of
    another mode, or sRGB."""
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
