"""``runs.csv``: the numbers of many runs, one line per run."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ssnan.labels import LABEL_SETS, LabelSet, label_set_by_name

RUNS = "runs.csv"

NUMBERS = (
    "seed",
    "photos",
    "images_seen",
    "minutes",
    "parameters",
    "flops_321",
    "seconds_321",
    "joint_distance",
    "joint_offset",
    "joints_missed",
    "limb_iou",
    "mean_iou_last",
    "structure.limb_pairs",
    "structure.limb_pairs_swapped",
    "structure.label_map_joint_offset",
    "structure.label_map_joints_missed",
    "structure.calibration_error",
    "merged.mean_iou",
    "present.overall_accuracy",
    "present.mean_accuracy",
    "present.mean_iou",
)
"""Columns after the system, the label set and the data; dots separate the keys of nested values in ``results.json``."""

FREQUENT_CLASSES = "frequent_classes"
"""The column of frequent classes, separated by spaces, or as JSON if a name has a space."""

Run = dict[str, Any]
"""The contents of ``results.json``."""


def number(run: Run, keys: Sequence[str]) -> float | None:
    """The number at ``keys``, or None if the run has none."""
    value: Any = run
    for key in keys:
        value = None if value is None else value.get(key)
    return None if value is None else float(value)


def write_runs(runs: Iterable[tuple[str, Run]], path: Path) -> None:
    """Write runs with the names of their systems; columns without values are left out."""
    rows = []
    for system, run in runs:
        labels = LabelSet.from_dict(run["label_set"])
        ious = [f"present.iou.{labels.classes[i]}" for i in labels.table_order or range(len(labels))]
        row = {"system": system, "label_set": _written(labels), "validation": run["validation"]}
        for column in (*NUMBERS, *ious):
            value = number(run, column.split(".", 2))
            row[column] = "" if value is None else f"{value:.7g}" if value % 1 else f"{value:.0f}"
        row[FREQUENT_CLASSES] = _joined(run.get("frequent_classes", {}).get("classes", ()))
        rows.append(row)
    used = [column for column in dict.fromkeys(key for row in rows for key in row) if any(row[column] for row in rows)]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, used, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def read_runs(path: Path) -> list[tuple[str, Run]]:
    """Read the runs of :func:`write_runs` in order, each with the name of its system.

    Raises:
        OSError: the file cannot be read.
        ValueError, KeyError: the file is not such a table.
    """
    runs = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            run: Run = {
                "label_set": _read(row.pop("label_set")).to_dict(),
                "validation": row.pop("validation"),
            }
            system = row.pop("system")
            if frequent := row.pop(FREQUENT_CLASSES, ""):
                run["frequent_classes"] = {"classes": _split(frequent, run["label_set"]["classes"])}
            for column, text in row.items():
                if text:
                    *outer, last = column.split(".", 2)
                    values = run
                    for key in outer:
                        values = values.setdefault(key, {})
                    values[last] = int(text) if text.isdecimal() and outer[:1] != ["present"] else float(text)
            runs.append((system, run))
    return runs


def _joined(names: Sequence[str]) -> str:
    """Names of classes in one cell."""
    plain = not any(" " in name or name.startswith("[") for name in names)
    return " ".join(names) if plain else json.dumps(list(names))


def _split(text: str, known: Sequence[str]) -> list[str]:
    """The inverse of :func:`_joined`.

    Raises:
        ValueError: a name is not one of the ``known`` classes.
    """
    names: list[str] = json.loads(text) if text.startswith("[") else text.split(" ")
    for name in names:
        if name not in known:
            raise ValueError(f"{FREQUENT_CLASSES}: {name!r} is not a class of the label set")
    return names


def _written(labels: LabelSet) -> str:
    """The name of one of ssnan's label sets, or all of another one as JSON."""
    return labels.name if LABEL_SETS.get(labels.name) == labels else json.dumps(labels.to_dict())


def _read(text: str) -> LabelSet:
    return LabelSet.from_dict(json.loads(text)) if text.startswith("{") else label_set_by_name(text)
