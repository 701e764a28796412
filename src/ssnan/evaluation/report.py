"""Compare runs in the paper's tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np

from ssnan.evaluation import bootstrap, paper
from ssnan.evaluation.metrics import FREQUENT, iou_of
from ssnan.evaluation.runs import RUNS, number, write_runs
from ssnan.evaluation.systems import System, counts_by_photo
from ssnan.io.writing import appearing_together
from ssnan.labels import LIP, PASCAL_PERSON_PART, LabelSet

Row = list[str]


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
        limbs = [system.number("structure", name) for name in ("limb_pairs", "limb_pairs_swapped")]
        row += [system.percent("limb_iou"), ", ".join(limbs)]
        row += [system.percent("structure", name) for name in ("label_map_joint_offset", "calibration_error")]
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
                (("structure", "limb_pairs_swapped"), 1.0),
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
    counts = [[counts_by_photo(folder) for folder in (base.folders[i], other.folders[j])] for i, j in pairs]
    if any(of_run is None for pair in counts for of_run in pair):
        return "–"
    names = sorted(counts[0][0])  # type: ignore[arg-type]
    both = np.array([[[of_run[name] for name in names] for of_run in pair] for pair in counts])  # type: ignore[index]
    measure = lambda some: 100 * np.nanmean(iou_of(some), axis=-1)  # noqa: E731
    low, high = bootstrap.interval(both[:, 0], both[:, 1], measure, names)
    return f"{low:+.2f} … {high:+.2f}"


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
    ``paired.csv`` to ``output``; returns the first. :func:`read_systems` reads ``runs.csv``. Each file appears when all
    are complete.

    Raises:
        OSError: the folder is not writable.
    """
    first = systems[0].runs[0]
    label_set = LabelSet.from_dict(first["label_set"])
    measured = {"summary": summary(systems), "per_class": per_class(systems)}
    if differences := paired(systems):
        measured["paired"] = differences
    frequent = first["frequent_classes"]["classes"]
    where = f"{first['validation']} ({first['photos']} photos, label set {label_set.name})"
    parts = [
        f"Measured on {where}, in percent, over the classes in the truth; mean ± standard deviation over the runs."
        + (f" Frequent classes are those in {FREQUENT} photos or more." if differences or frequent else ""),
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
    with appearing_together() as written_at:
        for name, rows in measured.items():
            with written_at(output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows)
        write_runs(((system.name, run) for system in systems for run in system.runs), written_at(output / RUNS))
        written_at(report).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    if not differences:
        (output / "paired.csv").unlink(missing_ok=True)  # of an earlier report, with other runs
    return report


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; the first row is the heading."""
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
