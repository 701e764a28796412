"""Error messages for users: always one printable line."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can fix. The message is one line of printable characters."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """``text`` with all unprintable characters escaped, such as line breaks and terminal sequences: ``\\n``, ``\\x1b``,
    ``\\udcff``."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def quoted(name: str | os.PathLike[str]) -> str:
    """A file name: unchanged if it is plain, otherwise quoted and :func:`printable`."""
    text = os.fspath(name)
    return text if re.fullmatch(r"[\w.,:@%+=~/\\-]+", text) else repr(text)


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """``; did you mean X?`` if one of ``names`` is close, otherwise an empty string."""
    close = difflib.get_close_matches(given, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def hide_decoder_warnings() -> None:
    """Hide Pillow's warnings about damaged metadata and odd palettes. Filters affect the whole process, so only our
    commands call this; importing the package does not."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
