"""Write files so that new files appear complete and together, or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ABANDONED_AFTER = 24 * 3600
"""Seconds after which unfinished files count as abandoned whose process cannot be looked for."""


def _place() -> str:
    """An id of this machine and container, within which process ids are comparable."""
    try:
        container = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not on this system
        container = 0
    return f"{zlib.crc32(f'{socket.gethostname()} {container}'.encode()):08x}"


def unfinished_prefix() -> str:
    """The prefix of unfinished files and folders, which names their owner."""
    return f".ssnan-{_place()}-{os.getpid()}-"


@contextmanager
def appearing_together() -> Iterator[Callable[[Path], Path]]:
    """Yield a function from the final path of a file to a temporary path to write to. All files move to their final
    paths when the block ends. If the block or a move fails, no new file is left, and every earlier file keeps its path,
    with the old or the new contents.

    Raises:
        OSError: from the block or the file system; its ``filename`` is the final path, of the last file if the system
            names none.
    """
    places: dict[Path, Path] = {}

    def written_at(place: Path) -> Path:
        if place.exists() and not (place.is_file() or place.is_dir()):  # root would replace /dev/null
            raise OSError(errno.EEXIST, "is not a regular file", str(place))
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.parent / f"{unfinished_prefix()}{uuid.uuid4().hex}.part"
        with naming(place):
            part.touch(exist_ok=False)  # with the default permissions
        places[part] = place
        return part

    added: list[Path] = []
    try:
        yield written_at
        for part, place in places.items():
            is_new = not os.path.lexists(place)
            part.replace(place)
            if is_new:
                added.append(place)
        added.clear()
    except OSError as error:
        if error.filename is not None and Path(error.filename) in places:
            error.filename, error.filename2 = str(places[Path(error.filename)]), None
        elif error.filename is None and error.errno is not None and places:  # a write to a full disk names no file
            error.filename = str(list(places.values())[-1])
        raise
    finally:
        for path in (*places, *added):
            path.unlink(missing_ok=True)


def write_text(place: Path, text: str) -> None:
    """Write ``text`` in UTF-8, whatever the locale. The file appears when it is complete; its folder is created if
    necessary.

    Raises:
        OSError: from the file system; its ``filename`` is ``place``.
    """
    with appearing_together() as written_at, naming(place):
        written_at(place).write_text(text, encoding="utf-8")


@contextmanager
def naming(place: str | os.PathLike[str]) -> Iterator[None]:
    """Within the block, an OSError names ``place`` instead of the temporary file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(place)) from None


@contextmanager
def unfinished_folder(inside: Path) -> Iterator[Path]:
    """Yield a temporary folder in ``inside``, which is created if necessary. The folder is removed when the block ends.
    Abandoned folders of killed processes are removed first.

    Raises:
        OSError: ``inside`` is not writable; the error names it.
    """
    inside.mkdir(parents=True, exist_ok=True)
    sweep(inside)
    with naming(inside):
        folder = tempfile.TemporaryDirectory(dir=inside, prefix=unfinished_prefix())
    with folder as name:
        yield Path(name)


def sweep(folder: Path) -> None:
    """Remove unfinished files of ended processes from ``folder``."""
    with suppress(OSError):
        for path in folder.iterdir():
            owner = re.match(r"\.ssnan-([0-9a-f]{8})-(\d+)-", path.name)
            if owner is None or not _abandoned(path, owner[1], int(owner[2])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _abandoned(path: Path, place: str, process: int) -> bool:
    if place != _place() or sys.platform == "win32":  # os.kill sends a Ctrl-C there
        return time.time() - path.lstat().st_mtime > ABANDONED_AFTER
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # a process of another user
        return False
    return False
