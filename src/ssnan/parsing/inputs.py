"""Which files to parse, and what their results are called."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ssnan.parsing import video
from ssnan.parsing.images import SUFFIXES
from ssnan.parsing.outputs import KINDS

STANDARD_INPUT = Path("-")
"""The input that is read from standard input; its result is called ``stdin``."""


def find_inputs(inputs: Sequence[str], recursive: bool) -> dict[Path, Path]:
    """Input files, each with the path of its result without the ending, relative to the output folder.

    Files are taken as they are, folders give the pictures and films in them (``recursive``: below them
    too, and their results keep the folders), and patterns with ``*``, ``?`` or ``[`` are expanded.

    A result has its picture's name without the ending. Where that would be two results' name, as of
    ``x.jpg`` and ``x.png``, each keeps its ending: ``x.jpg.png`` and ``x.png.png``.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        path = Path(given)
        if path == STANDARD_INPUT:
            found.setdefault(path, Path("stdin"))
        elif path.is_dir():
            for child in sorted(path.rglob("*") if recursive else path.iterdir()):
                if _is_picture(child):
                    found.setdefault(child, child.relative_to(path))
        elif not path.exists() and glob.has_magic(given):
            for match in sorted(glob.glob(given, recursive=recursive)):  # noqa: PTH207 - a pattern may be absolute
                if Path(match).is_file():
                    found.setdefault(Path(match), Path(Path(match).name))
        else:
            found.setdefault(path, Path(path.name))
    return _named(found)


def pictures_below(folder: Path) -> bool:
    """Whether a folder's folders hold pictures or films, which ``recursive`` would find."""
    return any(_is_picture(path) for child in folder.iterdir() if child.is_dir() for path in child.rglob("*"))


def is_film(path: Path) -> bool:
    """Whether the name is a film's."""
    return path.suffix.lower() in video.SUFFIXES


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES | video.SUFFIXES and path.is_file()


def _named(found: dict[Path, Path]) -> dict[Path, Path]:
    """A name for the results of every input, from its own name: short where it can be."""
    names = {path: own if path == STANDARD_INPUT else own.with_suffix("") for path, own in found.items()}
    alone = Counter((is_film(path), own) for path, own in found.items())
    while True:
        uses = Counter((is_film(path), name) for path, name in names.items())
        clashing = [
            path
            for path, name in names.items()
            if name != found[path]
            and alone[is_film(path), found[path]] == 1  # of two photos p.jpg no name tells which is which
            and (uses[is_film(path), name] > 1 or (is_film(path), _result_it_could_be_of(name)) in uses)
        ]
        if not clashing:
            return names
        names |= {path: found[path] for path in clashing}


def _result_it_could_be_of(name: Path) -> Path | None:
    """``a`` for ``a.overlay``: the photo ``a.overlay.jpg`` must not replace what is saved of ``a.jpg``."""
    stem, _, kind = name.name.partition(".mask.") if ".mask." in name.name else name.name.rpartition(".")
    return name.with_name(stem) if stem and (kind in KINDS or ".mask." in name.name) else None
