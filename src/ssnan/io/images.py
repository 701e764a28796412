"""Read images of many formats as RGB."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.errors import quoted
from ssnan.io.opening import (
    MAX_PIXELS,
    ImageError,
    explained,
    opened_image,
    refuse_if_huge,
    refuse_several,
    refuse_unless_regular,
    refuse_unusable,
)
from ssnan.io.pixels import converted, decoded, reduced, straight
from ssnan.scores.windows import WINDOW, is_long

SPARE = 3
"""A decoded photo is reduced by a whole factor, but stays this many times longer than needed: then resizing it hardly
differs from resizing the whole."""

Repeatable = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""Inputs that can be read more than once."""


@runtime_checkable
class BinaryFile(Protocol):
    """A file opened in binary mode, or an object like it."""

    def read(self, size: int = -1, /) -> bytes: ...


ImageLike = Repeatable | BinaryFile


def repeatable(image: Any) -> Repeatable:
    """``image`` in a form that can be read again: the bytes of a file object or a buffer, anything else unchanged.

    Raises:
        ImageError: a file object that cannot be read or returns text, or a type that is not supported.
    """
    if isinstance(image, str | os.PathLike | bytes | Image.Image | np.ndarray):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if not callable(getattr(image, "read", None)):
        several = "; use parser.map for several" if isinstance(image, list | tuple) else ""
        raise ImageError(
            "expected a path, bytes, a file opened in binary mode, a PIL image or a NumPy array, got "
            f"{type(image).__name__}{several}"
        )
    try:
        if getattr(image, "seekable", lambda: False)():
            image.seek(0)  # as Pillow does, because a buffer that was just written is at its end
        content = "" if isinstance(image, io.TextIOBase) else image.read()
    except Exception as error:  # the object may raise anything
        raise ImageError(
            f"file object: cannot be read ({' '.join(str(error).split()) or type(error).__name__})"
        ) from None
    if not isinstance(content, bytes):
        raise ImageError(f"file object: expected bytes, got {type(content).__name__}; open it in binary mode, 'rb'")
    return content


def read_rgb(image: ImageLike) -> NDArray[np.uint8]:
    """Read a photo as uint8 RGB, (H, W, 3), in its EXIF orientation.

    Converts palettes, grey levels of 8 or 16 bits or in 0..1, CMYK, transparency (over white) and colour profiles (to
    sRGB). Arrays are (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, in uint8 or floats in 0..1. File objects are read from
    their start, or from their position if they cannot seek.

    Raises:
        ImageError: not an image in one of ``FORMATS``, an animation, damaged, unreadable, larger than
            ``MAX_PIXELS``, or not a regular file but a pipe or a device.
    """
    return read_reduced(image, None)[0]


def read_unflattened(image: ImageLike) -> NDArray[np.uint8]:
    """As :func:`read_rgb`, but keeps transparency: (H, W, 4) RGBA for a transparent photo, otherwise (H, W, 3).

    Raises:
        ImageError: as :func:`read_rgb`.
    """
    pixels: NDArray[np.uint8] = _read(
        repeatable(image), MAX_PIXELS, lambda opened: np.asarray(straight(*decoded(opened)))
    )
    return pixels


def read_reduced(
    image: ImageLike, longest_side: int | None, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], int, int]:
    """As :func:`read_rgb`, with the photo's height and width. To save time and memory, a large photo is reduced by a
    whole factor after decoding; its longer side stays at ``SPARE`` times ``longest_side`` or more.

    The same pixels give the same result from a path, bytes, a PIL image or an array. So no decoder reduces a file while
    it reads, which would be faster but cannot be repeated on pixels.

    Raises:
        ImageError: as :func:`read_rgb`; larger than ``max_pixels``.
    """
    result: tuple[NDArray[np.uint8], int, int] = _read(
        repeatable(image), max_pixels, lambda opened: _rgb_of(opened, longest_side)
    )
    return result


def _read(image: Repeatable, max_pixels: int, use: Callable[[Image.Image], Any]) -> Any:
    """Open a photo, check it, and return ``use(photo)``."""
    if isinstance(image, np.ndarray):
        return use(_image_of_array(image, max_pixels))
    name = "photo" if isinstance(image, Image.Image) else "image bytes" if isinstance(image, bytes) else quoted(image)

    def read() -> Any:
        if isinstance(image, Image.Image):
            refuse_unusable(image, max_pixels)
            return use(image)
        if not isinstance(image, bytes):
            refuse_unless_regular(image)
        with opened_image(image) as opened:
            refuse_unusable(opened, max_pixels)
            refuse_several(opened, image)
            return use(opened)

    return explained(name, read)


def _rgb_of(image: Image.Image, longest_side: int | None) -> tuple[NDArray[np.uint8], int, int]:
    image, profile = decoded(image)
    width, height = image.size
    seen = round(WINDOW * min(image.size)) if is_long(*image.size) else max(image.size)
    factor = 1 if longest_side is None else seen // (SPARE * longest_side)
    rgb = converted(image, profile) if factor < 2 else reduced(image, profile, factor)
    return rgb, height, width


def _image_of_array(array: NDArray[Any], max_pixels: int) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(f"array: expected shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    refuse_if_huge(array.shape[1], array.shape[0], max_pixels)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise ImageError(
                f"array: expected floats between 0 and 1, got values from {array.min():.3g} to {array.max():.3g}; "
                "divide by 255 or convert to uint8"
            )
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(f"array: expected dtype uint8 or floats between 0 and 1, got {array.dtype}")
    return Image.fromarray(np.ascontiguousarray(array))
