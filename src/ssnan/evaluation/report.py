"""Compare runs in the paper's tables."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from ssnan.errors import UserError, cause, did_you_mean
from ssnan.evaluation import bootstrap, paper
from ssnan.evaluation.evaluate import limb_iou, of_frequent
from ssnan.evaluation.metrics import FREQUENT, frequent_classes, iou_of
from ssnan.evaluation.runs import RUNS, Run, number, read_runs, write_runs
from ssnan.io.writing import write_text
from ssnan.labels import LIP, PASCAL_PERSON_PART, LabelSet

RESULTS, PICTURES = "results.json", "pictures.json"

NEEDED = ("parameters", "flops_321", "images_seen", "minutes", "pictures")
"""Keys of a run's results that every table has."""

Row = list[str]

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
    for key, what in (("label_set", "label_set"), ("validation", "validation"), ("pictures", "number of photos")):
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
    named = [(folder, set(counts)) for folder in folders if (counts := _counts_by_photo(folder)) is not None]
    for folder, names in named[1:]:
        if differing := names ^ named[0][1]:
            raise ReportError(
                f"{folder}: expected the photos of {named[0][0]}, got a {PICTURES} that differs in "
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
    ``pictures.json``."""
    for system in systems:
        for run, folder in zip(system.runs, system.folders, strict=True):
            if "frequent_classes" in run:
                return list(run["frequent_classes"]["classes"])
            if photos := _counts_by_photo(folder):
                return frequent_classes(photos, LabelSet.from_dict(run["label_set"]))
    return []


def summary(systems: Sequence[System]) -> list[Row]:
    """A heading and one row per system: the columns of Table 1 and the cost."""
    head = ["System", "Runs", "Overall accuracy", "Mean accuracy", "Mean IoU"]
    merged = any("merged" in run for system in systems for run in system.runs)
    last = any("mean_iou_last" in run for system in systems for run in system.runs)
    frequent = systems[0].runs[0]["frequent_classes"]["classes"]
    head += [f"Mean IoU, {len(frequent)} frequent classes"] if frequent else []
    head += ["Mean IoU, last epoch"] if last else []
    head += ["Mean IoU, merged"] if merged else []
    head += [
        "Limb IoU",
        "Limb pairs, swapped",
        "Joint offset of the label map, %",
        "Calibration error, %",
        "Joint distance × 1000",
        "Joint offset of the probabilities, %",
        "Joints missed, %",
        "Parameters (M)",
        "GFLOPs at 321 × 321",
        "Seconds at 321 × 321",
        "Images seen",
        "Training minutes, fastest run",
    ]
    rows = [head]
    for system in systems:
        row = [system.name, str(len(system.runs))]
        row += [system.percent("present", key) for key in ("overall_accuracy", "mean_accuracy", "mean_iou")]
        row += [system.percent("frequent_classes", "mean_iou")] if frequent else []
        row += [system.percent("mean_iou_last")] if last else []
        row += [system.percent("merged", "mean_iou")] if merged else []
        limbs = [system.number("structure", name) for name in ("limb_pairs", "limb_pairs_exchanged")]
        row += [system.percent("limb_iou"), ", ".join(limbs)]
        row += [system.percent("structure", name) for name in ("hard_joint_offset", "calibration_error")]
        row.append(system.number("joint_distance", factor=1000.0))
        row += [system.percent("joint_offset"), system.percent("joints_missed")]
        row.append(f"{system.runs[0]['parameters'] / 1e6:.1f}")
        row.append(f"{system.runs[0]['flops_321'] / 1e9:.1f}")
        row.append(system.number("seconds_321"))
        # A run with a time limit sees as many photos as it can.
        seen = [run["images_seen"] for run in system.runs]
        row.append(str(seen[0]) if min(seen) == max(seen) else f"{min(seen)} … {max(seen)}")
        row.append(f"{min(run['minutes'] for run in system.runs):.1f}")
        rows.append(row)
    return rows


def per_class(systems: Sequence[System]) -> list[Row]:
    """A heading and one row per system: the IoU of each class, as in Tables 2 and 3."""
    label_set = LabelSet.from_dict(systems[0].runs[0]["label_set"])
    names = [label_set.classes[i] for i in label_set.table_order or range(len(label_set))]
    rows = [["System", *names, "Mean IoU"]]
    for system in systems:
        cells = [system.percent("present", "iou", name) for name in names]
        rows.append([system.name, *cells, system.percent("present", "mean_iou")])
    return rows


def paired(systems: Sequence[System]) -> list[Row]:
    """A heading and one row per system, compared with the first by seed: the mean difference, half its 95 % interval
    over the seeds (Student's t), and the 95 % bootstrap interval over the photos. A row has dashes if a common seed has
    several runs of a system, because nothing says which of them to compare. Empty without common seeds."""
    base = systems[0]
    rows = [
        [
            "System",
            f"beside {base.name}: seeds",
            "Mean IoU",
            "over photos",
            "Frequent classes",
            "Limb IoU",
            "Limb pairs swapped",
        ]
    ]
    for system in systems[1:]:
        first, second = _by_seed(base), _by_seed(system)
        common = [seed for seed in second if seed in first]
        if not common:
            continue
        repeated = [
            f"{len(runs[seed])} runs of {one.name} have seed {seed}"
            for seed in common
            for one, runs in ((base, first), (system, second))
            if len(runs[seed]) > 1
        ]
        if repeated:
            rows.append([system.name, repeated[0], *["–"] * (len(rows[0]) - 2)])
            continue
        pairs = [(first[seed][0], second[seed][0]) for seed in common]
        cells = [
            _difference(base, system, pairs, keys, factor)
            for keys, factor in (
                (("present", "mean_iou"), 100.0),
                (("frequent_classes", "mean_iou"), 100.0),
                (("limb_iou",), 100.0),
                (("structure", "limb_pairs_exchanged"), 1.0),
            )
        ]
        rows.append([system.name, str(len(pairs)), cells[0], _interval(base, system, pairs), *cells[1:]])
    return rows if len(rows) > 1 else []


def _by_seed(system: System) -> dict[int, list[int]]:
    """Positions of the runs with each seed. Runs from before it was recorded have none."""
    found: dict[int, list[int]] = {}
    for index, run in enumerate(system.runs):
        if (seed := run.get("seed")) is not None:
            found.setdefault(seed, []).append(index)
    return found


def _difference(
    base: System, other: System, pairs: Sequence[tuple[int, int]], keys: Sequence[str], factor: float
) -> str:
    both = [(number(base.runs[i], keys), number(other.runs[j], keys)) for i, j in pairs]
    found = [factor * (after - before) for before, after in both if before is not None and after is not None]
    if not found:
        return "–"
    return f"{mean(found):+.2f}" + (f" ± {bootstrap.half_width(found):.2f}" if len(found) > 1 else "")


def _interval(base: System, other: System, pairs: Sequence[tuple[int, int]]) -> str:
    counts = [[_counts_by_photo(folder) for folder in (base.folders[i], other.folders[j])] for i, j in pairs]
    if any(of_run is None for pair in counts for of_run in pair):
        return "–"
    names = sorted(counts[0][0])  # type: ignore[arg-type]
    both = np.array([[[of_run[name] for name in names] for of_run in pair] for pair in counts])  # type: ignore[index]
    measure = lambda some: 100 * np.nanmean(iou_of(some), axis=-1)  # noqa: E731
    low, high = bootstrap.interval(both[:, 0], both[:, 1], measure, names)
    return f"{low:+.2f} … {high:+.2f}"


def _counts_by_photo(folder: Path) -> dict[str, Any] | None:
    path = folder / PICTURES
    try:
        return dict(json.loads(path.read_bytes())) if path.is_file() else None
    except (OSError, ValueError, TypeError) as error:
        raise ReportError(f"{path}: not the counts of 'ssnan train' ({cause(error)})") from None


def published(label_set: LabelSet) -> dict[str, list[Row]]:
    """The paper's tables for a label set, from title to rows; empty if it has none."""
    if label_set == LIP:
        names = [LIP.classes[i] for i in LIP.table_order]
        return {
            "The paper's Table 1 (LIP val, 10,000 photos; not measured here)": [
                ["System", "Overall accuracy", "Mean accuracy", "Mean IoU"],
                *([name, *(f"{v:.2f}" for v in row)] for name, row in paper.TABLE_1.items()),
            ],
            "The paper's Table 2 (LIP val; not measured here)": [
                ["System", *names, "Mean IoU"],
                *([name, *(f"{v:.2f}" for v in (*row, mean(row)))] for name, row in paper.TABLE_2.items()),
            ],
        }
    if label_set == PASCAL_PERSON_PART:
        names = [PASCAL_PERSON_PART.classes[i] for i in PASCAL_PERSON_PART.table_order]
        return {
            "The paper's Table 3 (PASCAL-Person-Part; not measured here)": [
                ["System", *names, "Mean IoU"],
                *([name, *(f"{v:.2f}" for v in (*row, mean(row)))] for name, row in paper.TABLE_3.items()),
            ]
        }
    return {}


def write(systems: Sequence[System], output: Path) -> Path:
    """Write ``report.md``, ``summary.csv``, ``per_class.csv``, ``runs.csv`` and, for runs with common seeds,
    ``paired.csv`` to ``output``; returns the first. :func:`read_systems` reads ``runs.csv``."""
    output.mkdir(parents=True, exist_ok=True)
    first = systems[0].runs[0]
    label_set = LabelSet.from_dict(first["label_set"])
    measured = {"summary": summary(systems), "per_class": per_class(systems)}
    if differences := paired(systems):
        measured["paired"] = differences
    for name, rows in measured.items():
        with (output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    write_runs(((system.name, run) for system in systems for run in system.runs), output / RUNS)
    where = f"{first['validation']} ({first['pictures']} photos, label set {label_set.name})"
    parts = [
        f"Measured on {where}, in percent, over the classes in the truth; mean ± standard deviation over the runs. "
        f"Frequent classes are those in {FREQUENT} photos or more.",
        markdown(measured["summary"]),
        "IoU of each class:",
        markdown(measured["per_class"]),
    ]
    if differences:
        parts += [
            "By seed: mean difference ± half its 95 % interval over seeds (t); 95 % bootstrap interval over photos:",
            markdown(differences),
        ]
    for title, rows in published(label_set).items():
        parts += [f"{title}:", markdown(rows)]
    report = output / "report.md"
    write_text(report, "\n\n".join(parts) + "\n")
    return report


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; the first row is the heading."""
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
