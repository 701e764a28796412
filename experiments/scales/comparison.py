"""What the finished folds show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from experiments.measuring import frequent, mean_iou_over, with_intervals
from ssnan.evaluation import bootstrap
from ssnan.evaluation.metrics import FREQUENT
from ssnan.evaluation.report import Row
from ssnan.labels import LIP

Results = Mapping[str, Sequence[Mapping[str, NDArray[np.int64]]]]
"""Of each arm, what each fold counts: pixels (N, 3, C) by size and their sum (3, C) by crops; its rate, and what each
rate reached."""

MODULE = "SS-NAN"
SMALL = 0.01
"""A part is small if it covers less than this share of half of the photos that show it."""


def small_and_large(pixels: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Classes of small and of large parts, from the true pixels of each photo; classes in few photos are in neither."""
    true = pixels[:, 1]
    share = true / true.sum(axis=1, keepdims=True)
    parts: tuple[list[int], list[int]] = ([], [])
    for class_id in range(1, true.shape[1]):
        shown = share[:, class_id][true[:, class_id] > 0]
        if len(shown) >= FREQUENT:
            parts[int(np.median(shown) >= SMALL)].append(class_id)
    return parts


def main_table(results: Results) -> list[Row]:
    """Two rows an outcome: the mean of each arm over the folds, and how much more SS-NAN has, ± half the 95 % interval
    over the folds (Student's t), with 95 % of a bootstrap over the photos of all folds."""
    first = np.concatenate([fold["own"] for fold in results[MODULE]])
    small, large = small_and_large(first)
    photos = [str(number) for number in range(len(first))]  # each is in one fold
    outcomes: dict[str, tuple[str, list[int] | slice]] = {
        "mean IoU": ("own", slice(None)),
        "mean IoU of frequent classes": ("own", frequent(first)),
        "mean IoU at half size": ("half", slice(None)),
        "mean IoU at double size": ("double", slice(None)),
        "small parts": ("own", small),
        "large parts": ("own", large),
    }
    rows: list[Row] = [["outcome", *results]]
    for outcome, (size, classes) in outcomes.items():
        if classes == []:
            continue
        measure = mean_iou_over(classes)
        reached = {arm: [float(measure(fold[size].sum(axis=0))) for fold in folds] for arm, folds in results.items()}
        counts = {arm: np.concatenate([fold[size] for fold in folds])[None] for arm, folds in results.items()}
        more = dict.fromkeys(results, "")
        for arm in results.keys() - {MODULE}:
            gain = [ours - own for ours, own in zip(reached[MODULE], reached[arm], strict=True)]
            over_photos = bootstrap.interval(counts[arm], counts[MODULE], measure, photos)
            more[arm] = with_intervals(gain, over_photos)
        rows.append([outcome, *(f"{mean(of_folds):.2f}" for of_folds in reached.values())])
        rows.append([f"{MODULE} minus the arm", *more.values()])
    for name, classes in (("small", small), ("large", large)):
        print(f"{name} parts: {', '.join(LIP.classes[class_id] for class_id in classes) or 'none'}")
    return rows


def curve_table(results: Results) -> list[Row]:
    """Mean IoU after each number of crops, over the folds."""
    crops = sorted((name for name in results[MODULE][0] if name.startswith("after ")), key=lambda name: int(name[6:]))
    measure = mean_iou_over(slice(None))
    rows: list[Row] = [["mean IoU after crops", *(name[6:] for name in crops)]]
    for arm, folds in results.items():
        points = (mean(float(measure(fold[name])) for fold in folds) for name in crops)
        rows.append([arm, *(f"{point:.2f}" for point in points)])
    return rows


def rates_table(results: Results, rates: Sequence[float]) -> list[Row]:
    """Mean IoU that each rate reached on the photos that choose it, over the folds, and the rate of each fold."""
    rows: list[Row] = [["mean IoU of the rate", *(f"{rate:g}" for rate in rates), "chosen"]]
    for arm, folds in results.items():
        reached = np.mean([fold["reached"] for fold in folds], axis=0)
        chosen = ", ".join(f"{float(fold['rate']):g}" for fold in folds)
        rows.append([arm, *(f"{percent:.2f}" for percent in reached), chosen])
    return rows
