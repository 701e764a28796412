"""Detect image files by their first bytes, because suffixes may be wrong or unusual."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath

HEAD = 64
"""Number of bytes to look at."""

_PHOTO = re.compile(
    rb"""\xff\xd8\xff | \x89PNG\r\n\x1a\n | GIF8[79]a | RIFF....WEBP | BM.{4}\0\0\0\0
    | II\*\0 | MM\0\* | II\+\0 | MM\0\+ | P[1-6Ff]\s+[\#\d] | P7\nWIDTH | 8BPS\0
    | \0\0\0\x0c(JXL\x20|jP\x20\x20) | ....ftyp(....)*?(avif|avis|heic|heix|heim|heis|hevc|hevx|mif1|msf1|miaf)""",
    re.VERBOSE | re.DOTALL,
)
_HEIF = re.compile(rb"....ftyp(....)*?(heic|heix|heim|heis|hevc|hevx|mif1|msf1|miaf)", re.DOTALL)

_RAW = re.compile(rb"II\*\0....CR", re.DOTALL)

RAW = frozenset({
    ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".sr2", ".srf", ".orf", ".rw2", ".rwl", ".raf", ".pef", ".srw",
    ".3fr", ".fff", ".iiq", ".mef", ".mos", ".erf", ".kdc", ".dcr", ".mrw", ".x3f",
})  # fmt: skip
"""Suffixes of camera raw files. Pillow reads most of them as a TIFF with only a thumbnail."""

_NAMES = RAW | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm",
    ".pbm", ".pnm", ".pfm", ".pam", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".jpx", ".j2k", ".psd", ".tga", ".exr",
}  # fmt: skip
"""Suffixes of images, including formats that cannot be read, so that reading them reports the error."""


def is_photo(name: str | os.PathLike[str], head: Callable[[], bytes]) -> bool:
    """Whether a file in a folder or a tar is an image, by its suffix or else by its content.

    Args:
        name: name of the file; only the suffix counts for names that start with a dot.
        head: returns the first :data:`HEAD` bytes; called only if the suffix does not decide.
    """
    path = PurePath(name)
    if path.suffix.lower() in _NAMES:
        return True
    try:
        return not path.name.startswith(".") and _PHOTO.match(head()) is not None
    except OSError:
        return False


def without_ending(name: str) -> str:
    """A file name without the suffix of an image; ``a.b`` has none and stays whole."""
    path = PurePath(name)
    return path.stem if path.suffix.lower() in _NAMES else name


def head_of(path: str | os.PathLike[str]) -> bytes:
    """The first :data:`HEAD` bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return file.read(HEAD)


def is_raw(head: bytes) -> bool:
    """Whether the first bytes of a file show a camera raw file. For some raw files, only the TIFF tags do."""
    return _RAW.match(head) is not None


def is_heif(head: bytes) -> bool:
    """Whether the first bytes are those of HEIF or HEIC. AVIF has the same structure and is neither."""
    return _HEIF.match(head) is not None and b"avif" not in head and b"avis" not in head
