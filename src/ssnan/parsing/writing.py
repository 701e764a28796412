"""Files that appear complete and together, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ABANDONED_AFTER = 24 * 3600
"""Seconds after which what another machine's process has not finished counts as left behind."""


def _place() -> str:
    """This machine, and this container on it: where numbers of processes mean what they mean here."""
    try:
        container = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # no such thing on this system
        container = 0
    return f"{zlib.crc32(f'{socket.gethostname()} {container}'.encode()):08x}"


def unfinished_prefix() -> str:
    """What names of unfinished files and folders begin with: whose they are."""
    return f".ssnan-{_place()}-{os.getpid()}-"


@contextmanager
def appearing_together() -> Iterator[Callable[[Path], Path]]:
    """Yields a function from a file's place to where it is to be written. When the block ends, all that were
    asked for take their places; when it fails, none is left.

    Raises:
        OSError: of the block or of the file system, its ``filename`` the file's place.
    """
    places: dict[Path, Path] = {}

    def written_at(place: Path) -> Path:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.parent / f"{unfinished_prefix()}{uuid.uuid4().hex}.part"
        with naming(place):
            part.touch(exist_ok=False)  # with the rights that any new file would get
        places[part] = place
        return part

    done: list[Path] = []
    try:
        yield written_at
        for part, place in places.items():
            part.replace(place)
            done.append(place)
        done.clear()
    except OSError as error:
        if error.filename is not None and Path(error.filename) in places:
            error.filename, error.filename2 = str(places[Path(error.filename)]), None
        raise
    finally:
        for path in (*places, *done):
            path.unlink(missing_ok=True)


@contextmanager
def naming(place: str | os.PathLike[str]) -> Iterator[None]:
    """Within the block an OSError names ``place`` rather than the unfinished file that stands in for it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(place)) from None


@contextmanager
def unfinished_folder(inside: Path) -> Iterator[Path]:
    """A folder inside another one, which is made where it is missing; it and what it still holds go when the block
    ends. What a killed process left there before goes first.

    Raises:
        OSError: nothing can be written there; it names ``inside``.
    """
    inside.mkdir(parents=True, exist_ok=True)
    sweep(inside)
    with naming(inside):
        folder = tempfile.TemporaryDirectory(dir=inside, prefix=unfinished_prefix())
    with folder as name:
        yield Path(name)


def sweep(folder: Path) -> None:
    """Remove what processes that are no more left unfinished in ``folder``."""
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
    if place != _place():
        return time.time() - path.lstat().st_mtime > ABANDONED_AFTER
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's process
        return False
    return False
