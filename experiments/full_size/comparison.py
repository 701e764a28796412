"""What the trained systems reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.full_size.recipes import SECOND
from experiments.measuring import Measured, difference, mean_iou_over, right_sides
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.report import Row
from ssnan.labels import LIP

MARKS, STREET, JOINTS = "lip-marks", "ccp-lip", "lip-photos"
"""Datasets whose val splits are measured: the first two by their masks, the last by its keypoints."""

MODULE, WITH, WITHOUT = "ss_nan", "ss_nan_step2", "ss_nan_step2_none"
LIMBS = [class_id for pair in LIP.flip_pairs for class_id in pair]


class Reached(NamedTuple):
    """A trained system.

    Attributes:
        numbers: cost and budget, as in ``numbers.json``.
        counts: what it counts on each dataset.
    """

    numbers: Mapping[str, Any]
    counts: Mapping[str, Measured]

    @property
    def masks(self) -> Counts:
        """Pixels of all photos with masks, (N, 3, C)."""
        return np.concatenate([self.counts[name].pixels for name in (MARKS, STREET)])


def read(folder: Path, names: Sequence[str]) -> dict[str, Reached]:
    """The measured systems among ``names``, in their order."""
    found = {}
    for name in names:
        paths = {dataset: folder / name / f"{dataset}.npz" for dataset in (MARKS, STREET, JOINTS)}
        if all(path.is_file() for path in paths.values()):
            numbers = json.loads((folder / name / "numbers.json").read_bytes())
            found[name] = Reached(numbers, {dataset: Measured.read(path) for dataset, path in paths.items()})
    return found


def systems_table(systems: Mapping[str, Reached]) -> list[Row]:
    """A row a system. What it lacks or has more than SS-NAN comes with 95 % of a bootstrap over the photos."""
    rows: list[Row] = [
        ["system", MARKS, STREET, "both", f"{MODULE} minus this", "limb IoU", "right sides", f"{MODULE} minus this",
         "parameters (M)", "GFLOPs", "crops a second"],
    ]  # fmt: skip
    for name, own in systems.items():
        numbers = own.numbers
        compared = MODULE in systems and name != MODULE and name not in SECOND
        rows.append([
            name,
            *(_percent(mean_iou_over(slice(None)), own.counts[dataset].pixels) for dataset in (MARKS, STREET)),
            _percent(mean_iou_over(slice(None)), own.masks),
            _more(own.masks, systems[MODULE].masks, mean_iou_over(slice(None))) if compared else "",
            _percent(mean_iou_over(LIMBS), own.masks),
            _percent(right_sides, own.counts[JOINTS].sides),
            _more(own.counts[JOINTS].sides, systems[MODULE].counts[JOINTS].sides, right_sides) if compared else "",
            f"{numbers['parameters'] / 1e6:.1f}",
            f"{numbers['gflops_321']:.0f}",
            f"{numbers['crops'] / numbers['seconds']:.0f}",
        ])  # fmt: skip
    return rows


def second_step_table(systems: Mapping[str, Reached]) -> list[Row]:
    """What the joint loss gains in SS-NAN's second step, with 95 % of a bootstrap over the photos; empty if a step is
    missing."""
    if WITH not in systems or WITHOUT not in systems:
        return []
    rows: list[Row] = [["outcome", "without the joint loss", "with it", "gain"]]
    outcomes: tuple[tuple[str, Callable[[Counts], NDArray[np.float64]], Callable[[Reached], Counts]], ...] = (
        ("mean IoU", mean_iou_over(slice(None)), lambda own: own.masks),
        ("limb IoU", mean_iou_over(LIMBS), lambda own: own.masks),
        ("right sides", right_sides, lambda own: own.counts[JOINTS].sides),
    )
    for outcome, measure, counts in outcomes:
        without, with_it = (counts(systems[name]) for name in (WITHOUT, WITH))
        reached = (_percent(measure, of_one) for of_one in (without, with_it))
        rows.append([outcome, *reached, _more(without, with_it, measure)])
    return rows


def _percent(measure: Callable[[Counts], NDArray[np.float64]], counts: Counts) -> str:
    return f"{float(measure(counts.sum(axis=0))):.2f}"


def _more(base: Counts, own: Counts, measure: Callable[[Counts], NDArray[np.float64]]) -> str:
    return difference(base[None], own[None], measure, [str(photo) for photo in range(len(base))])
