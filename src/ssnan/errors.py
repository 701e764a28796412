"""What a user is told: one line, whatever stands in the names that it mentions."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterable, Sequence


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


def unknown(what: str, names: Iterable[str], known: Sequence[str]) -> str | None:
    """What to say of the first of ``names`` that is none of ``known``; None if all are known."""
    for name in names:
        if name not in known:
            given = name[:40]
            return f"no {what} {given!r}{did_you_mean(given, known)}; there are {', '.join(known)}"
    return None


def cause(error: BaseException) -> str:
    """What an error says, in one line of at most 200 characters: the system's words for an OSError."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0][:200]


def of_file(error: OSError, path: str | os.PathLike[str]) -> str:
    """The file that an OSError names, or else ``path``, and the reason."""
    return f"{quoted(error.filename or path)}: {cause(error)}"


def lacks(what: str, error: ModuleNotFoundError, extra: str) -> str:
    """What to say where ``what`` needs a package that an extra of ssnan installs."""
    return f"{what} needs {error.name}; pip install 'ssnan[{extra}]'"


def hide_decoder_warnings() -> None:
    """Hide Pillow's warnings about damaged metadata and odd palettes. Filters belong to the whole process, so only our
    programs call this; importing the package changes none."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
