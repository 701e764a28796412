"""What a user is told: one line, whatever stands in the names that it mentions."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterable


class UserError(ValueError):
    """Something that a user can mend. The message is one line of printable characters."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """``text`` with line breaks, escape sequences and all else that a terminal would act on, or cannot show,
    written out: ``\\n``, ``\\x1b``, ``\\udcff``."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def quoted(name: str | os.PathLike[str]) -> str:
    """A file's name as it is if it is plain, else in quotes and :func:`printable`."""
    text = os.fspath(name)
    return text if re.fullmatch(r"[\w.,:@%+=~/\\-]+", text) else repr(text)


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """``; did you mean X?`` where one of ``names`` is close, else nothing."""
    close = difflib.get_close_matches(given, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def hide_decoder_warnings() -> None:
    """Hide Pillow's warnings about damaged metadata and odd palettes. Filters belong to the whole process, so only our
    programs call this; importing the package changes none."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
