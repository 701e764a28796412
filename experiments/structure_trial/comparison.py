"""What the runs show: every arm beside ``none``, beside the same step, and beside the joints of another photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from experiments.measuring import Measured, difference, mean_iou_over, right_sides
from experiments.structure_trial.arms import ARMS, NONE, OTHER, SAME_STEP, SHARES
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.report import Row
from ssnan.labels import LIP

Key = tuple[str, str, float, int]
"""Base, arm, share, seed."""

Measure = Callable[[Counts], NDArray[np.float64]]
"""From summed counts to percent."""

COLUMNS = ("outcome", "base", "arm", "share", "seeds", "%", "minus none", "minus same step", "minus another photo")
UNTOUCHED = "untouched"
LIMBS = [class_id for pair in LIP.flip_pairs for class_id in pair]
OUTCOMES: dict[str, tuple[str, Measure]] = {
    "right sides": ("sides", right_sides),
    "limb IoU": ("pixels", mean_iou_over(LIMBS)),
    "mean IoU": ("pixels", mean_iou_over(slice(None))),
}
"""The counts of each outcome, and its measure; the first two decide."""

OF_ANOTHER = {"product (Eq. 4)": "product, another photo"}
"""The control of an arm without a share."""


def table(runs: Mapping[Key, Measured], untouched: Mapping[str, Measured]) -> list[Row]:
    """Rows of :data:`COLUMNS`: means over the seeds, and paired differences ± half the 95 % interval over the seeds
    (Student's t), with 95 % of a bootstrap over photos.

    A difference is over the seeds that both arms have; with one seed it has no ±.

    Args:
        runs: what each finished run counts.
        untouched: what each base counts before any arm.
    """
    return [
        row
        for outcome, (kind, measure) in OUTCOMES.items()
        for base in untouched
        for row in _of_one_outcome(outcome, kind, measure, base, runs, untouched[base])
    ]


def _of_one_outcome(
    outcome: str,
    kind: str,
    measure: Measure,
    base: str,
    runs: Mapping[Key, Measured],
    untouched: Measured,
) -> Iterator[Row]:
    def counts(arm: str, share: float) -> dict[int, Counts]:
        """Of each seed; empty for no arm."""
        found = ((seed, run) for (*key, seed), run in runs.items() if key == [base, arm, share])
        return {seed: getattr(run, kind) for seed, run in found}

    def less(control: str, own_arm: str, share: float) -> str:
        if control == own_arm:
            return ""
        given = share if control in ARMS and ARMS[control].shared else SHARES[0]
        return _difference(counts(control, given), counts(own_arm, share), measure, untouched.photos)

    whole, without = getattr(untouched, kind), counts(NONE, SHARES[0])
    beside = _difference(without, dict.fromkeys(without, whole), measure, untouched.photos)
    yield [outcome, base, UNTOUCHED, "", "", f"{measure(whole.sum(axis=0)):.2f}", beside, "", ""]
    for share in sorted(SHARES):
        for name, arm in ARMS.items():
            own = counts(name, share)
            if not own:
                continue
            controls = (NONE, SAME_STEP, OTHER) if arm.shared else (NONE, "", OF_ANOTHER.get(name, ""))
            reached = mean(float(measure(of_seed.sum(axis=0))) for of_seed in own.values())
            given = f"{share:g}" if arm.shared else ""
            cells = (less(control, name, share) for control in controls)
            yield [outcome, base, name, given, str(len(own)), f"{reached:.2f}", *cells]


def _difference(base: Mapping[int, Counts], own: Mapping[int, Counts], measure: Measure, photos: Sequence[str]) -> str:
    """The difference over the common seeds; empty without a common seed."""
    seeds = sorted(base.keys() & own.keys())
    if not seeds:
        return ""
    first, second = (np.stack([counts[seed] for seed in seeds]) for counts in (base, own))
    return difference(first, second, measure, photos[: first.shape[1]])
