"""Read images of many formats as RGB."""

from __future__ import annotations

import importlib.util
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ssnan.errors import UserError, lacks, quoted
from ssnan.io.profiles import in_srgb, profile_of
from ssnan.io.signatures import HEAD, RAW, head_of, is_heif, is_raw
from ssnan.scores.windows import WINDOW, is_long

MAX_PIXELS = 150_000_000
"""The default limit; photos with more pixels are refused before they are decoded."""

REDUCED_FROM = 25_000_000
"""Photos with more pixels are reduced as soon as they are decoded."""

_AVIF = importlib.util.find_spec("PIL.AvifImagePlugin") is not None  # since Pillow 11.3

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(("AVIF",) if _AVIF else ()))
"""The formats that are opened, by Pillow's names (MPO, several JPEGs in one file, counts as JPEG). Other formats are
refused, because some start other programs."""

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats in which several images in one file are an animation."""

UNITS = (255, 1023, 4095, 16383, 65535)
"""White for the bit depths of cameras and microscopes; files often store fewer bits unscaled in 16."""

STRIP_PIXELS = 1 << 22
"""Pixels of a huge photo that are converted at a time."""

ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""

SUBFILE = 0x00FE
"""TIFF tag with the kind of a page: 1 for a smaller version of another page, 4 for a mask of it."""

A_RAW_FILE = "is a camera raw file; convert it to JPEG or TIFF first"

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

Repeatable = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""Inputs that can be read more than once."""


@runtime_checkable
class BinaryFile(Protocol):
    """A file opened in binary mode, or an object like it."""

    def read(self, size: int = -1, /) -> bytes: ...


ImageLike = Repeatable | BinaryFile


class ImageError(UserError):
    """A photo cannot be used; the message says which one and why."""


class TooLargeError(ImageError):
    """A photo has more pixels than allowed."""


class UnknownFormatError(ImageError):
    """A file is not an image, or not in one of ``FORMATS``."""


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
        repeatable(image), MAX_PIXELS, lambda opened: np.asarray(_straight(*_decoded(opened)))
    )
    return pixels


def read_reduced(
    image: ImageLike, longest_side: int | None, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], int, int]:
    """As :func:`read_rgb`, with the photo's height and width. To save memory, a huge photo is reduced by a whole factor
    after decoding; its longer side stays at ``longest_side`` or more.

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
            _refuse_unusable(image, max_pixels)
            return use(image)
        if not isinstance(image, bytes):
            refuse_unless_regular(image)
        with opened_image(image) as opened:
            _refuse_unusable(opened, max_pixels)
            _refuse_several(opened, image)
            return use(opened)

    return explained(name, read)


def opened_image(source: str | os.PathLike[str] | bytes) -> Image.Image:
    """Open a path or bytes with Pillow, without decoding; HEIC needs the extra ``heif``.

    Raises:
        UnknownFormatError: HEIC without that extra, or a camera raw file.
        OSError: as ``Image.open`` with :data:`FORMATS`.
    """
    head = source[:HEAD] if isinstance(source, bytes) else head_of(source)
    if is_raw(head) or (not isinstance(source, bytes) and Path(source).suffix.lower() in RAW):
        raise UnknownFormatError(A_RAW_FILE)
    formats = FORMATS
    if is_heif(head):
        try:
            import pillow_heif
        except ModuleNotFoundError as error:
            raise UnknownFormatError(lacks("HEIC", error, "heif")) from None
        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)


def explained(name: str, read: Callable[[], Any]) -> Any:
    """Return ``read()``, and convert its errors to an ImageError that names the photo."""
    try:
        return read()
    except UnidentifiedImageError:
        raise UnknownFormatError(f"{name}: not an image in a known format ({', '.join(FORMATS)})") from None
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a folder; expected a file") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read it") from None
    except Image.DecompressionBombError:
        raise TooLargeError(
            f"{name}: more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first"
        ) from None
    except MemoryError:
        raise ImageError(f"{name}: not enough memory for a photo of this size") from None
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ValueError and others.
        reason = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: damaged or truncated ({reason})") from None


def refuse_unless_regular(path: str | os.PathLike[str]) -> None:
    """Refuse anything but a regular file: reading a pipe may block, and a device may never end.

    Raises:
        ImageError: a pipe, a socket or a device.
        OSError: the path does not exist, or is a folder.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - follows links, and the path may be a string
    if stat.S_ISDIR(mode):
        raise IsADirectoryError if os.access(path, os.R_OK | os.X_OK) else PermissionError
    if not stat.S_ISREG(mode):
        raise ImageError("is a pipe, a socket or a device; expected a regular file, or '-' for standard input")


def refuse_if_huge(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a photo that is too large.

    Raises:
        TooLargeError: it has more than ``max_pixels`` pixels.
    """
    if width * height > max_pixels:
        raise TooLargeError(
            f"{width} × {height} is more than {max_pixels / 1e6:g} million pixels; make it smaller first"
        )


def _refuse_unusable(image: Image.Image, max_pixels: int) -> None:
    if image.format not in (None, "MPO", "HEIF", *FORMATS):
        raise UnknownFormatError(f"{image.format} is not one of {', '.join(FORMATS)}; pass image.convert('RGB')")
    if 0 in image.size:
        raise ImageError("has no pixels")
    refuse_if_huge(*image.size, max_pixels)
    if image.format in ANIMATED and (frames := getattr(image, "n_frames", 1)) > 1:
        raise ImageError(f"is an animation of {frames} frames; save one frame as an image, or all as an MP4 video")


def _refuse_several(image: Image.Image, source: str | os.PathLike[str] | bytes) -> None:
    """Refuse a TIFF with several pages, or with only a thumbnail on the first.

    Raises:
        ImageError: the first page is a thumbnail, as in camera raw files, or another photo follows.
    """
    if image.format != "TIFF":
        return
    if _subfile(image) & 1:
        raise UnknownFormatError(A_RAW_FILE)
    with opened_image(source) as again:
        try:
            again.seek(1)
            follows = not _subfile(again) & 5
        except Exception:  # no other page can be read
            return
    if follows:
        raise ImageError("has several pages; save one of them as a separate file")


def _subfile(page: Image.Image) -> int:
    value = page.tag_v2.get(SUBFILE, 0)  # type: ignore[attr-defined]  # a TIFF's
    return value if isinstance(value, int) else 0


def _rgb_of(image: Image.Image, longest_side: int | None) -> tuple[NDArray[np.uint8], int, int]:
    image, profile = _decoded(image)
    width, height = image.size
    if longest_side is not None and width * height >= REDUCED_FROM:
        seen = round(WINDOW * min(image.size)) if is_long(*image.size) else max(image.size)
        return _reduced(image, profile, max(1, seen // longest_side)), height, width
    return _converted(image, profile), height, width


def _decoded(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """The decoded photo, upright, and its colour profile.

    Raises:
        ImageError: colours of 10 to 14 bits in 16.
    """
    profile = profile_of(image)
    deep = image.mode in ("LA", "RGB", "RGBA") and any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    image = upright(image)
    if deep and 0 < np.max(image.getextrema()[: 1 if image.mode == "LA" else 3]) < 64:  # Pillow keeps the upper 8 bits
        raise ImageError("has colours of 14 bits or fewer in 16, which would become dark; save it with 8 bits")
    return image, profile


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
    turn = None if image.format == "TIFF" else TURNS.get(_orientation(image))  # Pillow rotates TIFF itself
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing or invalid."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata do not affect the pixels
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def _reduced(image: Image.Image, profile: bytes | None, factor: int) -> NDArray[np.uint8]:
    """RGB reduced by ``factor``, strip by strip, so that only the decoded photo has full size in memory."""
    unit, rows = _unit(image), max(1, STRIP_PIXELS // (image.width * factor)) * factor
    strips = (image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows))
    return np.concatenate(
        [np.asarray(Image.fromarray(_converted(strip, profile, unit)).reduce(factor)) for strip in strips]
    )


def _converted(image: Image.Image, profile: bytes | None, unit: int | None = None) -> NDArray[np.uint8]:
    """RGB of an image of any mode, over white. ``unit`` is the largest possible grey level, guessed if None."""
    image = _straight(image, profile, unit)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return np.asarray(image)


def _straight(image: Image.Image, profile: bytes | None, unit: int | None = None) -> Image.Image:
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
    if alpha is not None:
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
