"""Open an image file, or say why it cannot be used."""

from __future__ import annotations

import importlib.util
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from ssnan.errors import UserError, lacks
from ssnan.io.signatures import HEAD, RAW, head_of, is_heif, is_raw

MAX_PIXELS = 150_000_000
"""The default limit; photos with more pixels are refused before they are decoded."""

_AVIF = importlib.util.find_spec("PIL.AvifImagePlugin") is not None  # since Pillow 11.3

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(("AVIF",) if _AVIF else ()))
"""The formats that are opened, by Pillow's names (MPO, several JPEGs in one file, counts as JPEG). Other formats are
refused, because some start other programs."""

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats in which several images in one file are an animation."""

SUBFILE = 0x00FE
"""TIFF tag with the kind of a page: 1 for a smaller version of another page, 4 for a mask of it."""

A_RAW_FILE = "is a camera raw file; convert it to JPEG or TIFF first"


class ImageError(UserError):
    """A photo cannot be used; the message says which one and why."""


class TooLargeError(ImageError):
    """A photo has more pixels than allowed."""


class UnknownFormatError(ImageError):
    """A file is not an image, or not in one of ``FORMATS``."""


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
        if isinstance(error, OSError) and error.strerror:  # of the system, not of a decoder
            raise ImageError(f"{name}: cannot be read ({error.strerror})") from None
        reason = " ".join(str(error).split()) or type(error).__name__
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


def refuse_unusable(image: Image.Image, max_pixels: int) -> None:
    """Refuse an opened image that is empty, too large, an animation or of another format.

    Raises:
        ImageError: it is one of these.
    """
    if image.format not in (None, "MPO", "HEIF", *FORMATS):
        raise UnknownFormatError(f"{image.format} is not one of {', '.join(FORMATS)}; pass image.convert('RGB')")
    if 0 in image.size:
        raise ImageError("has no pixels")
    refuse_if_huge(*image.size, max_pixels)
    if image.format in ANIMATED and (frames := getattr(image, "n_frames", 1)) > 1:
        raise ImageError(f"is an animation of {frames} frames; save one frame as an image, or all as an MP4 video")


def refuse_several(image: Image.Image, source: str | os.PathLike[str] | bytes) -> None:
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
