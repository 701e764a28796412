"""Which files to parse, and what their results are called."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

from ssnan.parsing import video
from ssnan.parsing.outputs import KINDS
from ssnan.parsing.signatures import head_of, is_picture

AnyPath = TypeVar("AnyPath", bound=PurePath)

STANDARD_INPUT = Path("-")
"""The input that is read from standard input; its result is called ``stdin``."""


def find_inputs(inputs: Sequence[str], recursive: bool) -> dict[Path, Path]:
    """Input files, each with the path of its result without the ending, relative to the output folder.

    Files are taken as they are, folders give the pictures and films in them (``recursive``: below them
    too, and their results keep the folders), and patterns with ``*``, ``?`` or ``[`` are expanded. A folder
    that cannot be listed stands for itself, so that reading it says why.

    A result has its picture's name without the ending. Where that would be two results' name, as of
    ``x.jpg`` and ``x.png``, each keeps its ending: ``x.jpg.png`` and ``x.png.png``.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        path = Path(given)
        if path == STANDARD_INPUT:
            found.setdefault(path, Path("stdin"))
        elif os.path.isdir(path):  # noqa: PTH112 - which any name may be asked, of 5,000 letters too
            for child in _below(path) if recursive else _in(path):
                found.setdefault(child, child.relative_to(path) if child != path else Path(path.name))
        elif not os.path.lexists(path) and glob.has_magic(given):
            for match in sorted(glob.glob(given, recursive=recursive)):  # noqa: PTH207 - a pattern may be absolute
                if os.path.isfile(match):  # noqa: PTH113
                    found.setdefault(Path(match), Path(Path(match).name))
        else:
            found.setdefault(path, Path(path.name))
    return result_names(found)


def pictures_below(folder: Path) -> bool:
    """Whether a folder's folders hold pictures or films, which ``recursive`` would find."""
    return any(_is_picture(path) and path.parent != folder for path in _below(folder))


def _in(folder: Path) -> Iterator[Path]:
    """The pictures and films of a folder; itself if it cannot be listed."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - joined below to what was given
    except OSError:
        yield folder
        return
    yield from (folder / name for name in names if _is_picture(folder / name))


def _below(folder: Path) -> Iterator[Path]:
    """The pictures and films of a folder and of those below it, links to folders aside."""
    unlisted: list[Path] = []
    walk = os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename)))
    yield from sorted(child for parent, _, _ in walk for child in _in(Path(parent)))
    yield from unlisted


def is_film(path: Path) -> bool:
    """Whether the name is a film's."""
    return path.suffix.lower() in video.SUFFIXES


def _is_picture(path: Path) -> bool:
    return os.path.isfile(path) and (is_film(path) or is_picture(path, lambda: head_of(path)))  # noqa: PTH113


def result_names(found: dict[Path, Path]) -> dict[Path, Path]:
    """A name for the results of every input, from its own name: short where it can be."""
    names = {path: own if path == STANDARD_INPUT else own.with_suffix("") for path, own in found.items()}
    alone = Counter((is_film(path), own) for path, own in found.items())
    while True:  # a longer name may be another's short one: of a.jpg and a.png, beside a.jpg.png
        uses = Counter((is_film(path), name) for path, name in names.items())
        clashing = [
            path
            for path, name in names.items()
            if name != found[path]
            and alone[is_film(path), found[path]] == 1  # of two photos p.jpg no name tells which is which
            and (uses[is_film(path), name] > 1 or (is_film(path), result_it_could_be_of(name)) in uses)
        ]
        if not clashing:
            return names
        names |= {path: found[path] for path in clashing}


def result_it_could_be_of(name: AnyPath) -> AnyPath | None:
    """``a`` for ``a.overlay``: the photo ``a.overlay.jpg`` must not replace what is saved of ``a.jpg``."""
    stem, _, kind = name.name.partition(".mask.") if ".mask." in name.name else name.name.rpartition(".")
    return name.with_name(stem) if stem and (kind in KINDS or ".mask." in name.name) else None
