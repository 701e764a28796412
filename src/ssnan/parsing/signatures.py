"""What a file is, by its first bytes: names lie, and some pictures have unusual ones."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath

HEAD = 64
"""Bytes that tell."""

_PICTURE = re.compile(
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
"""Endings of cameras' raw files, most of which pass for TIFF and would give their thumbnail."""

_NAMES = RAW | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm",
    ".pbm", ".pnm", ".pfm", ".pam", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".jpx", ".j2k", ".psd", ".tga", ".exr",
}  # fmt: skip
"""Endings of pictures' names, of those that cannot be read too: reading them says so."""


def is_picture(name: str | os.PathLike[str], head: Callable[[], bytes]) -> bool:
    """Whether a file counts as a picture when a folder or a tar is searched: by its name, or else by its content.

    Args:
        name: of the file; one that begins with a dot is taken at its word.
        head: gives the file's first :data:`HEAD` bytes, and is called only where the name does not tell.
    """
    path = PurePath(name)
    if path.suffix.lower() in _NAMES:
        return True
    try:
        return not path.name.startswith(".") and _PICTURE.match(head()) is not None
    except OSError:
        return False


def without_ending(name: str) -> str:
    """A file's name without a picture's ending; of ``a.b``, which has none, the whole."""
    path = PurePath(name)
    return path.stem if path.suffix.lower() in _NAMES else name


def head_of(path: str | os.PathLike[str]) -> bytes:
    """A file's first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return file.read(HEAD)


def is_raw(head: bytes) -> bool:
    """Whether a file that begins so is a raw file that says it here; of others the TIFF tags tell."""
    return _RAW.match(head) is not None


def is_heif(head: bytes) -> bool:
    """Whether a file that begins so is HEIF or HEIC; AVIF, which is built alike, is neither."""
    return _HEIF.match(head) is not None and b"avif" not in head and b"avis" not in head
