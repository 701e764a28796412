"""Pixels of any mode, depth and colour profile as upright RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ssnan.io.opening import ImageError
from ssnan.io.profiles import in_srgb, profile_of

UNITS = (255, 1023, 4095, 16383, 65535)
"""White for the bit depths of cameras and microscopes; files often store fewer bits unscaled in 16."""

STRIP_PIXELS = 1 << 22
"""Pixels of a huge photo that are converted at a time."""

AVERAGED = ("L", "RGB", "CMYK")
"""Modes whose mean over pixels is a colour: no palette, no transparency, no grey levels of unknown depth."""

ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns each orientation upright; from 5 on, width and height swap."""


def decoded(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """The decoded photo, upright, and its colour profile.

    Raises:
        ImageError: colours of 10 to 14 bits in 16.
    """
    profile = profile_of(image)
    stored, key = str(getattr(image, "tile", "")), image.info.get("transparency")
    if isinstance(key, tuple) and ";16" in stored:  # Pillow scales the pixels, but not what is transparent
        image.info["transparency"] = tuple(level >> 8 for level in key)
    elif isinstance(key, int):
        image.info["transparency"] = key * stretch_of(image)
    deep = image.mode in ("LA", "RGB", "RGBA") and ";16" in stored
    image = upright(image)
    if deep and 0 < np.max(image.getextrema()[: 1 if image.mode == "LA" else 3]) < 64:  # Pillow keeps the upper 8 bits
        raise ImageError("has colours of 14 bits or fewer in 16, which would become dark; save it with 8 bits")
    return image, profile


def stretch_of(image: Image.Image) -> int:
    """The factor by which Pillow will multiply grey levels of 2 and 4 bits when it decodes this image; 1 for others."""
    stored = str(getattr(image, "tile", ""))
    return 85 if "'L;2'" in stored else 17 if "'L;4'" in stored else 1


def upright(image: Image.Image) -> Image.Image:
    """The decoded image in its EXIF orientation."""
    if isinstance(image, TiffImageFile):
        image.filename, name = "", image.filename  # by its name, Pillow maps it with the upright size: garbled
        image.load()
        image.filename = name
    else:
        image.load()
    if image.mode in ("I;16B", "I;16L"):  # Pillow supports few operations on these modes
        image = image.convert("I")
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image in its EXIF orientation, without decoding it."""
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing or invalid, and for TIFF, which Pillow rotates itself."""
    if image.format == "TIFF":
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata do not affect the pixels
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def reduced(image: Image.Image, profile: bytes | None, factor: int) -> NDArray[np.uint8]:
    """RGB reduced by ``factor``. Only the decoded photo has full size in memory: colours that may be averaged are
    converted after, others before, strip by strip."""
    if image.mode in AVERAGED and "transparency" not in image.info:
        return converted(image.reduce(factor), profile)
    unit, rows = _unit(image), max(1, STRIP_PIXELS // (image.width * factor)) * factor
    strips = (image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows))
    return np.concatenate(
        [np.asarray(Image.fromarray(converted(strip, profile, unit)).reduce(factor)) for strip in strips]
    )


def converted(image: Image.Image, profile: bytes | None, unit: int | None = None) -> NDArray[np.uint8]:
    """RGB of an image of any mode, over white. ``unit`` is the largest possible grey level, guessed if None."""
    image = straight(image, profile, unit)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return np.asarray(image)


def straight(image: Image.Image, profile: bytes | None, unit: int | None = None) -> Image.Image:
    """An image of any mode in sRGB: RGB, or RGBA if it is transparent."""
    if image.mode.startswith(("I", "F")):
        levels, key = np.asarray(image), image.info.get("transparency")  # the grey level that is transparent
        image = Image.fromarray(_eight_bits(levels, unit or _unit(image)))
        if isinstance(key, int):
            image = Image.merge("LA", (image, Image.fromarray(np.where(levels == key, 0, 255).astype(np.uint8))))
    if image.mode in ("La", "RGBa"):  # premultiplied alpha
        image = image.convert(image.mode.upper())
    alpha = None
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
        image = image.convert("L") if image.mode in ("L", "LA") else image.convert("RGBA").convert("RGB")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    image = in_srgb(image, profile).convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    return image


def _unit(image: Image.Image) -> int:
    """The largest possible grey level, guessed from the largest in the photo: 1, or that of 8, 10, 12, 14 or 16
    bits."""
    if not image.mode.startswith(("I", "F")):
        return 255
    top = np.max(image.getextrema())
    return 1 if image.mode == "F" and top <= 1 else next((unit for unit in UNITS if top <= unit), UNITS[-1])


def _eight_bits(values: NDArray[Any], unit: int) -> NDArray[np.uint8]:
    """Convert grey levels of more than 8 bits, or floats, to 8 bits; ``unit`` is white."""
    if not np.isfinite(values).all():
        raise ImageError("has values that are not finite numbers")
    return np.clip(values * (255 / unit), 0, 255).round().astype(np.uint8)
