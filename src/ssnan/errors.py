"""What a user is told: one line, whatever stands in the names that it mentions."""

from __future__ import annotations

import os
import re


class UserError(ValueError):
    """Something that a user can mend. The message is one line of printable characters."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """``text`` with line breaks, escape sequences and all else that a terminal would act on, or cannot show,
    written out: ``\\n``, ``\\x1b``, ``\\udcff``."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def quoted(name: str | os.PathLike[str]) -> str:
    """A file's name as it is if it is plain, else in quotes and :func:`printable`."""
    text = os.fspath(name)
    return text if re.fullmatch(r"[\w.,:@%+=~/\\-]+", text) else repr(text)
