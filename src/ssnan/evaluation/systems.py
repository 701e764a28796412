"""The systems of a report: finished runs that differ only in their seed, from folders and tables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ssnan.errors import UserError, cause, did_you_mean
from ssnan.evaluation.evaluate import limb_iou, of_frequent
from ssnan.evaluation.metrics import frequent_classes
from ssnan.evaluation.runs import Run, number, read_runs
from ssnan.labels import LabelSet

RESULTS, PHOTOS = "results.json", "photos.json"

NEEDED = ("parameters", "flops_321", "images_seen", "minutes", "photos")
"""Keys of a run's results that every table has."""

Home = tuple[str, ...]
"""The parts of a system's absolute path; for one from a table, those of the table and the name in it."""


class ReportError(UserError):
    """There are no runs, or they cannot be compared; the message says why."""


@dataclass(frozen=True)
class System:
    """Runs that differ only in their seed.

    Attributes:
        name: name of the folder, after folders above it if another system has the same name; folders named ``seed0``,
            ``seed_0`` or ``seed-0`` belong to their parent.
        runs: contents of each run's ``results.json``.
        folders: folders of the runs; for runs from a table, the folder of the table.
    """

    name: str
    runs: list[Run]
    folders: list[Path]

    def percent(self, *keys: str) -> str:
        """As :meth:`number`, for a fraction in percent."""
        return self.number(*keys, factor=100.0)

    def number(self, *keys: str, factor: float = 1.0) -> str:
        """The mean over the runs of the number at ``keys``, ± the standard deviation, times ``factor``; a dash if no
        run has it."""
        values = [factor * value for run in self.runs if (value := number(run, keys)) is not None]
        if not values:
            return "–"
        return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def read_systems(places: Sequence[Path]) -> list[System]:
    """The systems of all finished runs in ``places``, in this order and then by name. A place inside another one adds
    nothing.

    Args:
        places: folders with finished runs in them or in subfolders, and tables from :func:`write`.

    Raises:
        ReportError: a folder has no finished run, or results cannot be read or compared.
    """
    files: dict[Path, Path] = {}
    for file in (file for place in places for file in _files(place)):
        files.setdefault(file.resolve(), file)
    found: dict[Home, list[tuple[Run, Path]]] = {}
    for file in files.values():
        for home, run in [_finished(file)] if file.name == RESULTS else _table(file):
            found.setdefault(home, []).append((run, file.parent))
    if not found:
        raise ReportError(f"{places[0]}: has no runs")
    systems = [
        System(name, [run for run, _ in of_home], [folder for _, folder in of_home])
        for name, of_home in zip(_names(found), found.values(), strict=True)
    ]
    runs = [run for system in systems for run in system.runs]
    for system in systems:
        for key in ("parameters", "flops_321"):
            if len(kinds := {run[key] for run in system.runs}) > 1:
                raise ReportError(
                    f"{system.name}: expected runs that differ only in their seed, got {min(kinds)} and {max(kinds)} "
                    f"as their {key}; give every network a folder of its own"
                )
    for key, what in (("label_set", "label_set"), ("validation", "validation"), ("photos", "number of photos")):
        kinds = {json.dumps(run[key]) for run in runs}
        if len(kinds) > 1:
            raise ReportError(f"runs differ in their {what}; report them separately")
    _refuse_other_photos(systems)
    frequent = _frequent(systems)
    for run in runs:
        run["frequent_classes"] = of_frequent(run["present"]["iou"], frequent)
    return systems


def _refuse_other_photos(systems: Sequence[System]) -> None:
    """Refuse runs that name their photos and were measured on different ones.

    Raises:
        ReportError: the names differ; the message has one that only some of the runs have.
    """
    folders = [folder for system in systems for folder in system.folders]
    named = [(folder, set(counts)) for folder in folders if (counts := counts_by_photo(folder)) is not None]
    for folder, names in named[1:]:
        if differing := names ^ named[0][1]:
            raise ReportError(
                f"{folder}: expected the photos of {named[0][0]}, got a {PHOTOS} that differs in "
                f"{min(differing)!r}; report them separately"
            )


def select(systems: Sequence[System], names: Sequence[str]) -> list[System]:
    """The systems with these names, in the order of the names.

    Raises:
        ReportError: no system has one of the names.
    """
    known = {system.name: system for system in systems}
    for name in names:
        if name not in known:
            raise ReportError(f"no system {name!r} among {', '.join(known)}{did_you_mean(name, known)}")
    return [known[name] for name in names]


def _names(homes: Collection[Home]) -> list[str]:
    """The shortest end of each path that no other path has."""
    paths = ["/" + "/".join(home) for home in homes]
    ends = [["/".join(home[-count:]) for count in range(1, len(home) + 1)] for home in homes]
    return [next(end for end in of_home if sum(path.endswith(f"/{end}") for path in paths) == 1) for of_home in ends]


def _files(place: Path) -> list[Path]:
    """A table, or the results of every run in a folder or its subfolders."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise ReportError(f"{place}: no such folder or table")
    found = sorted(place.rglob(RESULTS))
    if not found:
        raise ReportError(f"{place}: no {RESULTS} in it or its subfolders; 'ssnan train' writes one when it ends")
    return found


def _table(path: Path) -> Iterator[tuple[Home, Run]]:
    """Yield the system and the results of each run in a table."""
    try:
        runs = read_runs(path)
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{path}: not a table that 'ssnan report' wrote ({error})") from None
    for name, run in runs:
        yield (*_absolute(path).parts, name), run


def _finished(path: Path) -> tuple[Home, Run]:
    """The system and the results of the run that wrote them to ``path``."""
    try:
        run = json.loads(path.read_bytes())
        run["present"]["mean_iou"], run["validation"]
        for key in NEEDED:
            run[key]
        labels = LabelSet.from_dict(run["label_set"])
        # For runs from before this was written:
        run["label_set"] = labels.to_dict()
        run.setdefault("limb_iou", limb_iou(run["present"]["iou"], labels))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{path}: not the results of 'ssnan train' ({cause(error)})") from None
    folder = _absolute(path).parent
    return (folder.parent if re.fullmatch(r"seed[-_]?\d+", folder.name) else folder).parts, run


def _absolute(path: Path) -> Path:
    """An absolute path without ``..``. A link keeps its name, because people name systems by links too."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _frequent(systems: Sequence[System]) -> list[str]:
    """The frequent classes of the common validation photos, from the first run that has them; older runs have them in
    ``photos.json``."""
    for system in systems:
        for run, folder in zip(system.runs, system.folders, strict=True):
            if "frequent_classes" in run:
                return list(run["frequent_classes"]["classes"])
            if photos := counts_by_photo(folder):
                return frequent_classes(photos, LabelSet.from_dict(run["label_set"]))
    return []


def counts_by_photo(folder: Path) -> dict[str, Any] | None:
    path = folder / PHOTOS
    try:
        return dict(json.loads(path.read_bytes())) if path.is_file() else None
    except (OSError, ValueError, TypeError) as error:
        raise ReportError(f"{path}: not the counts of 'ssnan train' ({cause(error)})") from None
