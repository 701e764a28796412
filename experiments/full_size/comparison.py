"""What the trained systems reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.full_size.recipes import SECOND
from experiments.measuring import Measured, difference, frequent, mean_iou_over, right_sides
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.report import Row
from ssnan.labels import LIP

MARKS, STREET, JOINTS = "lip-marks", "ccp-lip", "lip-photos"
"""Datasets whose val splits are measured: the first two by their masks, the last by its keypoints."""

MODULE, WITH, WITHOUT = "ss_nan", "ss_nan_step2", "ss_nan_step2_none"
LIMBS = [class_id for pair in LIP.flip_pairs for class_id in pair]


class Compared(NamedTuple):
    """Counts (N, …), and the photo of each."""

    counts: Counts
    photos: Sequence[str]


class Reached(NamedTuple):
    """A trained system.

    Attributes:
        numbers: cost and budget, as in ``numbers.json``.
        counts: what it counts on each dataset.
    """

    numbers: Mapping[str, Any]
    counts: Mapping[str, Measured]

    @property
    def masks(self) -> Compared:
        """Pixels of all photos with masks, (N, 3, C)."""
        marks, street = (self.counts[name] for name in (MARKS, STREET))
        return Compared(np.concatenate([marks.pixels, street.pixels]), [*marks.photos, *street.photos])

    @property
    def sides(self) -> Compared:
        """Sides of all crops with keypoints, (N, 1, 4)."""
        return Compared(self.counts[JOINTS].sides, self.counts[JOINTS].photos)


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
        ["system", MARKS, STREET, "both", f"{MODULE} minus this", "frequent classes", f"{MODULE} minus this",
         "limb IoU", "right sides", f"{MODULE} minus this", "parameters (M)", "GFLOPs", "crops a second"],
    ]  # fmt: skip
    often = frequent(next(iter(systems.values())).masks.counts) if systems else []
    for name, own in systems.items():
        numbers = own.numbers
        compared = MODULE in systems and name != MODULE and name not in SECOND
        rows.append([
            name,
            *(_percent(mean_iou_over(slice(None)), own.counts[dataset].pixels) for dataset in (MARKS, STREET)),
            _percent(mean_iou_over(slice(None)), own.masks.counts),
            _more(own.masks, systems[MODULE].masks, mean_iou_over(slice(None))) if compared else "",
            _percent(mean_iou_over(often), own.masks.counts),
            _more(own.masks, systems[MODULE].masks, mean_iou_over(often)) if compared else "",
            _percent(mean_iou_over(LIMBS), own.masks.counts),
            _percent(right_sides, own.sides.counts),
            _more(own.sides, systems[MODULE].sides, right_sides) if compared else "",
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
    outcomes: tuple[tuple[str, Callable[[Counts], NDArray[np.float64]], Callable[[Reached], Compared]], ...] = (
        ("mean IoU", mean_iou_over(slice(None)), lambda own: own.masks),
        ("limb IoU", mean_iou_over(LIMBS), lambda own: own.masks),
        ("right sides", right_sides, lambda own: own.sides),
    )
    for outcome, measure, of_one in outcomes:
        without, with_it = (of_one(systems[name]) for name in (WITHOUT, WITH))
        reached = (_percent(measure, compared.counts) for compared in (without, with_it))
        rows.append([outcome, *reached, _more(without, with_it, measure)])
    return rows


def _percent(measure: Callable[[Counts], NDArray[np.float64]], counts: Counts) -> str:
    return f"{float(measure(counts.sum(axis=0))):.2f}"


def _more(base: Compared, own: Compared, measure: Callable[[Counts], NDArray[np.float64]]) -> str:
    return difference(base.counts[None], own.counts[None], measure, base.photos)
