"""Parse many files. Decoding, network and writing overlap, and a bad file does not stop the others."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ssnan.errors import UserError, of_file, printable, quoted
from ssnan.io.images import ImageLike
from ssnan.io.lists import CASE_MATTERS, without_case
from ssnan.io.opening import ImageError, refuse_unless_regular
from ssnan.io.storing import photo_of
from ssnan.io.writing import appearing_together, sweep
from ssnan.parsing.inputs import result_it_could_be_of
from ssnan.parsing.parser import Parser, Scored
from ssnan.parsing.pipeline import in_stages
from ssnan.results.outputs import files
from ssnan.results.reading import read_document
from ssnan.scores.grouping import MOST_PEOPLE


@dataclass(frozen=True)
class Saving:
    """Where to write results, and which files.

    Attributes:
        folder: folder of the results.
        kinds: files to save beside the map, from :data:`ssnan.results.outputs.KINDS`.
        parts: parts for masks, cutouts and crops; the whole person if empty.
        skip_existing: skip photos that already have a map of their own.
    """

    folder: Path
    kinds: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    skip_existing: bool = False


class Outcome(NamedTuple):
    """The outcome of a photo: parsed, failed with a problem, or skipped because its map exists."""

    path: Path
    problem: str | None = None
    skipped: bool = False


def parse_files(
    parser: Parser, inputs: dict[Path, Path], saving: Saving, contents: dict[Path, bytes] | None = None
) -> Generator[Outcome, None, None]:
    """Parse every input and yield its outcome, in the order of the inputs.

    The files of a photo appear together when all are written, the map last. They never replace an input, the result of
    another input, a result of a photo of another name, or a file that is not a result. All results of an earlier run
    for a photo of this name are replaced or removed, because the photo may have changed. Unfinished files of a killed
    run are removed first.

    Args:
        parser: from :func:`ssnan.load`.
        inputs: from :func:`ssnan.parsing.inputs.find_inputs`.
        saving: where to write results, and which files.
        contents: bytes of inputs that are not files, such as standard input.
    """
    earlier: dict[Path, list[Path]] = {}
    for folder in {(saving.folder / name).parent for name in inputs.values()}:
        sweep(folder)
        earlier |= _named_as_results(folder)
    jobs = _jobs(inputs, saving, contents or {}, parser.result_labels.classes, earlier)
    read, score = partial(_step, parser.decode), partial(_step, parser.score)
    for job in in_stages(read, score, lambda job: _step(partial(_write, parser, job, saving), job), jobs):
        yield job.outcome or Outcome(job.path)


class Job(NamedTuple):
    """A photo in progress: ``state`` is the result of the last step, and ``earlier`` are files that may be results of
    an earlier run; a job with an ``outcome`` is done."""

    path: Path
    source: ImageLike
    target: Path
    earlier: list[Path]
    state: Any
    outcome: Outcome | None = None


def _named_as_results(folder: Path) -> dict[Path, list[Path]]:
    """The files of a folder that have names of results, by the path of the result without suffix."""
    found: defaultdict[Path, list[Path]] = defaultdict(list)
    try:
        files = list(folder.iterdir())
    except OSError:  # not yet there; or writing reports the error
        return found
    for file in files:
        if file.suffix in (".json", ".png"):
            target = file.parent / file.stem
            found[target].append(file)
            if file.suffix == ".png" and (photo := result_it_could_be_of(target)):
                found[photo].append(file)
    return found


def _jobs(
    inputs: dict[Path, Path],
    saving: Saving,
    contents: dict[Path, bytes],
    classes: Iterable[str],
    earlier: dict[Path, list[Path]],
) -> Iterator[Job]:
    sources = {_real(path) for path in inputs}
    taken: dict[str, Path] = {}
    for path, name in inputs.items():
        outcome = None
        target = saving.folder / name
        places = {_real(place): place for place in _possible(target, saving, classes)}
        if clash := next((taken[place] for place in places if place in taken), None):
            outcome = Outcome(
                path,
                f"{quoted(path)}: its result would overwrite that of {quoted(clash)}; parse it into another folder",
            )
        elif saving.skip_existing and is_result_of(_file(target, ".png"), path.name):
            outcome = Outcome(path, skipped=True)
        elif clash := next((place for real, place in places.items() if real in sources), None):
            outcome = Outcome(
                path, f"{quoted(path)}: its result would overwrite the photo {quoted(clash)}; choose another folder"
            )
        elif foreign := next((place for place in places.values() if _is_foreign(place, path)), None):
            of = _photo_of(foreign)
            what = "is not a result of ssnan" if of is None else f"is a result of another photo, {quoted(of)}"
            outcome = Outcome(
                path,
                f"{quoted(path)}: its result would overwrite {quoted(foreign)}, which {what}; choose another folder",
            )
        for place in places:
            taken.setdefault(place, path)
        source = contents.get(path, path)
        left = [place for place in earlier.get(target, ()) if _real(place) not in sources]
        yield Job(path, source, target, left, source, outcome)


def _real(path: Path) -> str:
    """One path for all paths of a file, which need not exist."""
    real = os.path.realpath(path)
    return real if CASE_MATTERS else without_case(real)


def _step(function: Callable[[Any], Any], job: Job) -> Job:
    """The job after one more step, or with the problem that stopped it."""
    if job.outcome is not None:
        return job
    try:
        return job._replace(state=function(job.state))
    except ImageError as error:
        problem = str(error).replace("image bytes", "standard input") if isinstance(job.source, bytes) else str(error)
    except OSError as error:
        problem = of_file(error, job.path)
    except MemoryError:
        problem = f"{quoted(job.path)}: not enough memory for a photo of this size"
    return job._replace(state=None, outcome=Outcome(job.path, printable(problem)))


def _possible(target: Path, saving: Saving, classes: Iterable[str]) -> list[Path]:
    """The files that a result may have."""
    endings = [".png", *(".json" if kind == "json" else f".{kind}.png" for kind in saving.kinds if kind != "masks")]
    masks = (saving.parts or classes) if "masks" in saving.kinds else ()
    people = range(1, 1 + MOST_PEOPLE) if "people" in saving.kinds else ()
    endings += [*(f".mask.{part}.png" for part in masks), *(f".person{number}.png" for number in people)]
    return [_file(target, ending) for ending in endings]


def _is_foreign(place: Path, photo: Path) -> bool:
    """Whether a file is there that is no result of a photo of this name."""
    return os.path.isfile(place) and not is_result_of(place, photo.name)  # noqa: PTH113 - Path.is_file raises for long names


def is_result_of(place: Path, photo: str) -> bool:
    """Whether a file is a result of a photo named ``photo``, or a result that does not name its photo."""
    return _photo_of(place) in (printable(photo), "")


def _photo_of(place: Path) -> str | None:
    """The name of the photo that a file is a result of; empty if the file does not name it, None if it is no
    result."""
    if place.suffix != ".json":
        return photo_of(place)
    try:
        refuse_unless_regular(place)
        return printable(str(read_document(place.read_bytes()).get("image", "")))
    except (OSError, UserError):
        return None


def _file(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)


def _write(parser: Parser, job: Job, saving: Saving, scored: Scored) -> None:
    result = parser.finish(scored, job.source)
    contents = {
        _file(job.target, ending): content
        for ending, content in files(result, job.path.name, saving.kinds, saving.parts).items()
    }
    map_place = _file(job.target, ".png")
    before = map_place.read_bytes() if map_place in job.earlier and map_place.is_file() else None
    same_map = False
    with appearing_together() as written_at:
        for place, content in contents.items():
            made = content()
            written_at(place).write_bytes(made)
            same_map = same_map or (place == map_place and made == before)
    # Parts that this photo does not show, and what no longer fits the map. Other kinds of the same map stay.
    replaced = set(_possible(job.target, saving, result.label_set.classes))
    for place in job.earlier:
        stays = same_map and place not in replaced
        if place not in contents and not stays and _photo_of(place) == printable(job.path.name):
            place.unlink(missing_ok=True)
