"""Find input files and name their results."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

from ssnan.io.signatures import head_of, is_photo
from ssnan.io.storing import photo_of
from ssnan.parsing import video
from ssnan.results.outputs import KINDS

AnyPath = TypeVar("AnyPath", bound=PurePath)

STANDARD_INPUT = Path("-")
"""The input that means standard input; its result is named ``stdin``."""

PERSON = re.compile(r"person\d+")
"""The map of one person is named after it."""


def find_inputs(inputs: Sequence[str], recursive: bool) -> dict[Path, Path]:
    """Input files, each with the path of its result without the suffix, relative to the output folder.

    Files are used as they are, folders give the photos and videos in them, and patterns with ``*``, ``?`` or ``[`` are
    expanded. ``recursive`` includes subfolders, which the results keep. Results of earlier runs in folders and patterns
    are left out, so that the output folder may lie inside an input. A file that is given in several spellings counts
    once. A folder that cannot be listed and a link to a missing photo are returned too, so that reading them reports
    the error.

    A result has the name of its photo without the suffix. A photo whose name is also another's, as ``x.jpg`` and
    ``x.png``, keeps its suffix: ``x.jpg.png`` and ``x.png.png``.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for given in inputs:
        for path, name in _files_of(given, recursive):
            if path == STANDARD_INPUT and given != "-":  # a file with this name, as ./-
                path = path.absolute()
            found.setdefault(_spelled_out(path), (path, name))
    return result_names(dict(found.values()))


def _spelled_out(path: Path) -> Path:
    """One path for all spellings of a file. A link to a file keeps its own name, and so its own result."""
    return path if path == STANDARD_INPUT else Path(os.path.realpath(path.parent), path.name)


def without_files(inputs: Sequence[str], recursive: bool) -> list[str]:
    """Those of ``inputs`` in which :func:`find_inputs` finds nothing: empty folders, and patterns without a match."""
    return [given for given in inputs if next(_files_of(given, recursive), None) is None]


def _files_of(given: str, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The files of one input, each with the path of its result, still with the suffix."""
    path = Path(given)
    if given == "-":
        yield path, Path("stdin")
    elif os.path.isdir(path):  # noqa: PTH112 - it accepts any name, even one of 5,000 letters
        for child in _below(path) if recursive else _in(path):
            yield child, child.relative_to(path) if child != path else Path(path.name)
    elif not os.path.lexists(path) and glob.has_magic(given):
        for match in sorted(glob.glob(given, recursive=recursive)):  # noqa: PTH207 - a pattern may be absolute
            if is_file_or_lost(match) and not is_result(Path(match)):
                yield Path(match), Path(Path(match).name)
    else:
        yield path, Path(path.name)


def inputs_below(folder: Path) -> bool:
    """Whether subfolders contain photos or videos."""
    below = ((Path(parent), names) for parent, _, names in os.walk(folder))
    return any(_is_input(parent / name) for parent, names in below if parent != folder for name in names)


def _in(folder: Path) -> Iterator[Path]:
    """The photos and videos of a folder, or the folder itself if it cannot be listed."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - joined below to the given path
    except OSError:
        yield folder
        return
    yield from (folder / name for name in names if _is_input(folder / name))


def _below(folder: Path) -> Iterator[Path]:
    """The photos and videos of a folder and its subfolders, without linked folders."""
    unlisted: list[Path] = []
    walk = os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename)))
    yield from sorted(child for parent, _, _ in walk for child in _in(Path(parent)))
    yield from unlisted


def is_video(path: Path) -> bool:
    """Whether the name is that of a video."""
    return path.suffix.lower() in video.SUFFIXES


def _is_input(path: Path) -> bool:
    # First whether it is a file, because opening a pipe would wait forever.
    return is_file_or_lost(path) and (is_video(path) or is_photo(path, lambda: head_of(path))) and not is_result(path)


def is_result(path: Path) -> bool:
    """Whether a file is the PNG or the video of an earlier result. Reads only files that could be, by their names."""
    if path.suffix == ".png":
        return photo_of(path) is not None
    return path.name.endswith(video.RESULTS) and video.video_of(path) is not None


def is_file_or_lost(path: str | Path) -> bool:
    """Whether a path is a file, or a link to something that is missing, as on a disk that is not mounted."""
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))  # noqa: PTH110, PTH113, PTH114


def result_names(found: dict[Path, Path]) -> dict[Path, Path]:
    """A name for the results of every input: without the suffix, unless another photo has this name, with or without
    its suffix, or has results that could be named so. Videos have results of their own and count apart."""
    files = {(is_video(path), name) for path, name in found.items()}  # two photos named p.jpg have no unique name
    uses = Counter((video, use) for video, name in files for use in {name, name.with_suffix("")})

    def result_name(path: Path, name: Path) -> Path:
        kind, short = is_video(path), name.with_suffix("")
        return short if uses[kind, short] == 1 and (kind, result_it_could_be_of(short)) not in uses else name

    return {path: result_name(path, name) for path, name in found.items()}


def result_it_could_be_of(name: AnyPath) -> AnyPath | None:
    """``a`` for ``a.overlay``: the result of ``a.overlay.jpg`` must not overwrite a file of ``a.jpg``."""
    stem, _, kind = name.name.partition(".mask.") if ".mask." in name.name else name.name.rpartition(".")
    return name.with_name(stem) if stem and (kind in KINDS or ".mask." in name.name or PERSON.fullmatch(kind)) else None
