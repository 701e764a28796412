"""Error messages for users: always one printable line."""

from __future__ import annotations

import difflib
import os
import pickle
import re
import warnings
from collections.abc import Iterable, Sequence


class UserError(ValueError):
    """A mistake that the user can fix. The message is one line of printable characters."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """``text`` with all unprintable characters escaped, such as line breaks and terminal sequences: ``\\n``, ``\\x1b``,
    ``\\udcff``."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def quoted(name: str | os.PathLike[str]) -> str:
    """A file name: unchanged if it is plain, otherwise quoted and :func:`printable`."""
    text = os.fspath(name)
    return text if re.fullmatch(r"[\w.,:@%+=~/\\-]+", text) else repr(text)


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """``; did you mean X?`` if one of ``names`` is close, otherwise an empty string."""
    close = difflib.get_close_matches(given, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(what: str, names: Iterable[object], known: Sequence[str]) -> str | None:
    """An error message for the first of ``names`` that is not in ``known``, or None. A caller of the API may give
    something else than a name, such as an id."""
    for name in names:
        if name not in known:
            given = str(name)[:40]
            return f"no {what} {given!r}{did_you_mean(given, known)}; expected one of {', '.join(known)}"
    return None


def cause(error: BaseException) -> str:
    """The first line of an error, at most 200 characters; for an OSError, the reason that the system gives; for a YAML
    error, the line of the file and the problem."""
    if mark := getattr(error, "problem_mark", None):
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'not YAML'}"
    if isinstance(error, pickle.UnpicklingError):  # torch advises to read the file without its protection
        return "not a file of weights and plain values"
    text = str(getattr(error, "strerror", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0][:200]


def of_file(error: OSError, path: str | os.PathLike[str]) -> str:
    """The file of an OSError, or ``path`` if it names none, and the reason."""
    return f"{quoted(error.filename or path)}: {cause(error)}"


def install(extra: str) -> str:
    """The command that installs an extra of ssnan."""
    return f"pip install 'ssnan[{extra}]'"


def lacks(what: str, error: ModuleNotFoundError, extra: str) -> str:
    """An error message for ``what``, which needs a package from an extra of ssnan."""
    return f"{what} needs {error.name}; {install(extra)}"


def hide_decoder_warnings() -> None:
    """Hide Pillow's warnings about damaged metadata and odd palettes. Filters affect the whole process, so only our
    commands call this; importing the package does not."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
