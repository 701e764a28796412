"""Lists of files, as editors and spreadsheets write them, and when two names are one."""

from __future__ import annotations

import codecs
import sys
import unicodedata

CASE_MATTERS = sys.platform not in ("darwin", "win32")
"""Whether the usual file systems of this machine tell ``a`` from ``A``."""


def text_of(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 where it begins with that byte order mark.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def without_case(name: str) -> str:
    """What two names have in common that are one where case does not matter, nor how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()
