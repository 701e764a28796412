"""Parsing many files: which ones, where their results go, and what happens when one is bad."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ssnan.parsing import video
from ssnan.parsing.images import SUFFIXES, ImageError, read_rgb
from ssnan.parsing.parser import Parser, Scored
from ssnan.parsing.pipeline import ahead
from ssnan.parsing.render import confidence_image, overlay

EXTRAS = ("overlay", "json", "confidence")


def find_inputs(inputs: Sequence[str], recursive: bool) -> dict[Path, Path]:
    """Input files, each with the path of its result without the ending, relative to the output folder.

    Files are taken as they are, folders give the pictures and films in them (``recursive``: below them
    too, and their results keep the folders), and patterns with ``*``, ``?`` or ``[`` are expanded.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            pattern = path.rglob("*") if recursive else path.iterdir()
            for child in sorted(pattern):
                if child.suffix.lower() in SUFFIXES | video.SUFFIXES and child.is_file():
                    found.setdefault(child, child.relative_to(path).with_suffix(""))
        elif not path.exists() and glob.has_magic(given):
            for match in sorted(glob.glob(given, recursive=recursive)):  # noqa: PTH207 - a pattern may be absolute
                if Path(match).is_file():
                    found.setdefault(Path(match), Path(Path(match).stem))
        else:
            found.setdefault(path, Path(path.stem))
    return found


def parse_files(
    parser: Parser, inputs: dict[Path, Path], output: Path, extras: Iterable[str] = ()
) -> Iterator[tuple[Path, str | None]]:
    """Parse every input into ``output``, and yield it with None, or with the reason why it was not.

    Decoding, network and writing overlap; outcomes come in the order of the inputs. A result
    appears whole or not at all. No result replaces an input or another input's result.
    """
    extras = tuple(extras)
    jobs = _jobs(inputs, output, extras)
    decoded = ahead(partial(_step, parser.decode), jobs)
    scored = (_step(parser.score, job) for job in decoded)
    written = ahead(lambda job: _step(partial(_write, parser, job, extras), job), scored)
    for job in written:
        yield job.path, job.problem


class Job(NamedTuple):
    """A picture on its way: ``state`` is what the last step made of it; ``problem`` ends the way."""

    path: Path
    target: Path
    state: Any
    problem: str | None = None


def _jobs(inputs: dict[Path, Path], output: Path, extras: tuple[str, ...]) -> Iterator[Job]:
    sources = {path.resolve() for path in inputs}
    taken: dict[Path, Path] = {}
    for path, stem in inputs.items():
        problem = None
        if stem in taken:
            problem = f"{path}: its result would replace that of {taken[stem]}; parse it into another folder"
        for name in _names(output / stem, extras):
            if name.resolve() in sources:
                problem = f"{path}: its result would replace the photo {name}; choose another folder"
        taken.setdefault(stem, path)
        yield Job(path, output / stem, path, problem)


def _step(function: Callable[[Any], Any], job: Job) -> Job:
    """The job after one more step, or with the reason why it ended there."""
    if job.problem is not None:
        return job
    try:
        return job._replace(state=function(job.state))
    except ImageError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or job.path}: {error.strerror or error}"
    except MemoryError:
        problem = f"{job.path}: not enough memory for a picture of this size"
    return job._replace(state=None, problem=problem)


def _names(target: Path, extras: tuple[str, ...]) -> list[Path]:
    endings = [".png", *(f".{extra}.png" if extra != "json" else ".json" for extra in extras)]
    return [target.with_name(target.name + ending) for ending in endings]


def _write(parser: Parser, job: Job, extras: tuple[str, ...], scored: Scored) -> None:
    path, target = job.path, job.target
    result = parser.finish(scored)
    writers: list[Callable[[Path], object]] = [result.save]
    for extra in extras:
        if extra == "json":
            description = json.dumps({"image": path.name} | result.as_dict(), indent=2) + "\n"
            writers.append(lambda file, text=description: file.write_text(text))  # type: ignore[misc]
        else:
            picture = overlay(read_rgb(path), result) if extra == "overlay" else confidence_image(result)
            writers.append(lambda file, picture=picture: _save_png(picture, file))  # type: ignore[misc]
    target.parent.mkdir(parents=True, exist_ok=True)
    for file, write in zip(_names(target, extras), writers, strict=True):
        _write_whole(file, write)


def _save_png(picture: Image.Image, file: Path) -> None:
    picture.save(file, format="PNG")


def _write_whole(file: Path, write: Callable[[Path], object]) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".ssnan-", suffix=".part")
    os.close(descriptor)
    part = Path(name)
    try:
        write(part)
        # mkstemp is private to the user; results get the rights any new file would.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
