"""Lists of files from editors and spreadsheets, and comparison of file names."""

from __future__ import annotations

import codecs
import sys
import unicodedata

CASE_MATTERS = sys.platform not in ("darwin", "win32")
"""Whether the usual file systems of this machine distinguish ``a`` from ``A``."""


def text_of(content: bytes) -> str:
    """Decode text in UTF-8, or in UTF-16 if it starts with that byte order mark.

    Raises:
        UnicodeDecodeError: the text is in neither.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def without_case(name: str) -> str:
    """Fold a name, so that names which differ only in case or in the encoding of accents become equal."""
    return unicodedata.normalize("NFC", name).casefold()
