"""Parsing many files: which ones, where their results go, and what happens when one is bad."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from ssnan.images import SUFFIXES, ImageError, read_rgb
from ssnan.parser import Parser
from ssnan.render import confidence_image, overlay

EXTRAS = ("overlay", "json", "confidence")


def find_inputs(inputs: Sequence[str], recursive: bool) -> dict[Path, Path]:
    """Input files, each with the path of its result without the ending, relative to the output folder.

    Files are taken as they are, folders give the pictures in them (``recursive``: below them too,
    and their results keep the folders), and patterns with ``*``, ``?`` or ``[`` are expanded.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            pattern = path.rglob("*") if recursive else path.iterdir()
            for child in sorted(pattern):
                if child.suffix.lower() in SUFFIXES and child.is_file():
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

    A result appears whole or not at all. No result replaces an input or another input's result.
    """
    extras = tuple(extras)
    sources = {path.resolve() for path in inputs}
    taken: dict[Path, Path] = {}
    for path, stem in inputs.items():
        target = output / stem
        try:
            if stem in taken:
                raise ImageError(
                    f"{path}: its result would replace that of {taken[stem]}; parse it into another folder"
                )
            for name in _names(target, extras):
                if name.resolve() in sources:
                    raise ImageError(f"{path}: its result would replace the photo {name}; choose another folder")
            taken[stem] = path
            _parse_one(parser, path, target, extras)
            yield path, None
        except ImageError as error:
            yield path, str(error)
        except OSError as error:
            yield path, f"{error.filename or path}: {error.strerror or error}"
        except MemoryError:
            yield path, f"{path}: not enough memory for a picture of this size"


def _names(target: Path, extras: tuple[str, ...]) -> list[Path]:
    endings = [".png", *(f".{extra}.png" if extra != "json" else ".json" for extra in extras)]
    return [target.with_name(target.name + ending) for ending in endings]


def _parse_one(parser: Parser, path: Path, target: Path, extras: tuple[str, ...]) -> None:
    result = parser(path)
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
