"""Reading pictures of every kind into RGB, and writing label maps."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ssnan.labels import LabelSet

MAX_PIXELS = 150_000_000
"""Pictures above this many pixels are refused before they are decoded."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""File endings that count as pictures when a folder is searched."""

ImageLike = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]


class ImageError(ValueError):
    """A picture cannot be used; the message says which and why, in one line."""


def read_rgb(image: ImageLike) -> NDArray[np.uint8]:
    """Pixels of a picture as uint8 RGB, (H, W, 3), turned as its EXIF orientation asks.

    Palettes, grey levels of 8 or 16 bits, CMYK and transparency (over white) are converted; of an
    animation the first frame counts. Arrays are (H, W), (H, W, 3) RGB or (H, W, 4) RGBA: uint8, or
    floats between 0 and 1.

    Raises:
        ImageError: not a picture, damaged, unreadable, or larger than ``MAX_PIXELS``.
    """
    if isinstance(image, np.ndarray):
        return _rgb_of(Image.fromarray(_as_uint8(image)))
    if isinstance(image, Image.Image):
        return _rgb_of(image)
    return _read(image, lambda opened: None)


def _read(image: str | os.PathLike[str] | bytes, prepare: Callable[[Image.Image], None]) -> NDArray[np.uint8]:
    """Pixels of a file or of its bytes, ``prepare`` called between its head and its pixels."""
    name = "image bytes" if isinstance(image, bytes) else os.fspath(image)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
                _refuse_if_huge(opened)
                prepare(opened)
                return _rgb_of(opened)
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture in a format that can be read") from None
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a folder, expected a picture") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read it") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first") from None
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ValueError and others.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: damaged or truncated ({reason})") from None


def read_reduced(image: ImageLike, longest_side: int | None) -> tuple[NDArray[np.uint8], int, int]:
    """As :func:`read_rgb`, and the picture's height and width; a JPEG file far larger than needed is
    decoded at a half, a quarter or an eighth of its size, its longer side still ``longest_side`` or more.

    The JPEG decoder skips the work for pixels that the network would never see.

    Raises:
        ImageError: as :func:`read_rgb`.
    """
    if longest_side is None or isinstance(image, np.ndarray | Image.Image):
        rgb = read_rgb(image)
        return rgb, rgb.shape[0], rgb.shape[1]
    size: list[int] = []

    def reduce(opened: Image.Image) -> None:
        width, height = opened.size
        # EXIF may lay the picture on its side; tags 5 to 8 do.
        size.extend((width, height) if opened.getexif().get(0x0112, 1) >= 5 else (height, width))
        if opened.format in ("JPEG", "MPO") and max(width, height) >= 2 * longest_side:
            factor = longest_side / max(width, height)
            opened.draft("RGB", (math.ceil(width * factor), math.ceil(height * factor)))

    rgb = _read(image, reduce)
    return rgb, size[0], size[1]


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Label ids of a mask PNG, (H, W): palette indices or grey levels, never colours.

    Raises:
        ImageError: unreadable, or stored as colours, which carry no ids.
    """
    try:
        with Image.open(path) as mask:
            if mask.mode not in ("P", "L"):
                raise ImageError(
                    f"{path}: expected a mask of one channel (palette or grey) whose values are label ids, "
                    f"got mode {mask.mode}"
                )
            return np.array(mask)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"{path}: cannot be read as a mask ({error})") from None


def palette_image(labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """An 8-bit palette picture whose indices are the label ids and whose colours are the label set's."""
    image = Image.fromarray(labels)
    image.putpalette(label_set.color_table.tobytes())
    return image


def _refuse_if_huge(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width} × {height} is more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first"
        )


def _rgb_of(image: Image.Image) -> NDArray[np.uint8]:
    _refuse_if_huge(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return _rgb_of(Image.fromarray(_sixteen_bits_to_eight(np.asarray(image))))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba)
    return np.asarray(image.convert("RGB"))


def _sixteen_bits_to_eight(values: NDArray[Any]) -> NDArray[np.uint8]:
    top = 255 if values.max(initial=0) <= 255 else 65535
    return np.clip(values * (255.0 / top), 0, 255).round().astype(np.uint8)


def _as_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(f"array: expected shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if array.dtype == np.uint8:
        return array
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise ImageError(
                f"array: expected floats between 0 and 1, got values from {array.min():.3g} to {array.max():.3g}; "
                "divide by 255 or convert to uint8"
            )
        return (array * 255).round().astype(np.uint8)
    raise ImageError(f"array: expected dtype uint8 or floats between 0 and 1, got {array.dtype}")
