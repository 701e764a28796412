"""One confusion matrix, three numbers and the per-class row (Section 4.1, Metrics)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssnan.labels import LabelSet

Confusion = NDArray[np.int64]
"""Pixel counts, (C, C): row = true class, column = predicted class."""


def confusion_matrix(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], label_set: LabelSet) -> Confusion:
    """Count pixels by true and predicted class; pixels of the ignored value do not count.

    Raises:
        ValueError: shapes differ, or the truth holds an id that is neither class nor ignored.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected maps of one shape, got truth {truth.shape} and prediction {predicted.shape}")
    count = len(label_set)
    valid = truth != label_set.ignore_index
    true_ids = truth[valid].astype(np.int64)
    if true_ids.size and true_ids.max() >= count:
        raise ValueError(
            f"label id {true_ids.max()} is not a class of {label_set.name!r} (0..{count - 1}) "
            f"nor the ignored value {label_set.ignore_index}"
        )
    cells = np.bincount(true_ids * count + predicted[valid], minlength=count * count)
    return cells.reshape(count, count)


@dataclass(frozen=True)
class Score:
    """What the paper's tables report, as fractions; classes that never occur, neither in the truth
    nor in the prediction, are NaN and left out of the means."""

    overall_accuracy: float
    mean_accuracy: float
    mean_iou: float
    iou: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @classmethod
    def of(cls, confusion: Confusion) -> Score:
        """Numbers of a confusion matrix.

        Mean accuracy averages over the classes present in the truth. A class that is only
        predicted has IoU 0 and counts in the mean IoU.
        """
        hits = np.diag(confusion).astype(float)
        true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
        iou = _ratio(hits, true + predicted - hits)
        accuracy = _ratio(hits, true)
        return cls(
            overall_accuracy=float(_ratio(hits.sum(keepdims=True), true.sum(keepdims=True))[0]),
            mean_accuracy=_mean(accuracy),
            mean_iou=_mean(iou),
            iou=iou,
            accuracy=accuracy,
        )

    @classmethod
    def of_present(cls, confusion: Confusion) -> Score:
        """As :meth:`of`, with the means over the classes present in the truth alone; for subsets in
        which some classes never occur."""
        score = cls.of(confusion)
        present = confusion.sum(axis=1) > 0
        iou = np.where(present, score.iou, np.nan)
        return cls(score.overall_accuracy, score.mean_accuracy, _mean(iou), iou, score.accuracy)

    def as_dict(self, label_set: LabelSet) -> dict[str, Any]:
        """Plain numbers for JSON; None where a class does not occur."""
        return {
            "overall_accuracy": self.overall_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "mean_iou": self.mean_iou,
            "iou": {
                name: None if np.isnan(v) else float(v) for name, v in zip(label_set.classes, self.iou, strict=True)
            },
        }


LIP_MERGED = LabelSet(
    name="lip_merged",
    classes=("background", "hair", "skin", "clothes"),
    palette=((0, 0, 0), (255, 0, 0), (0, 0, 255), (255, 85, 0)),
)
"""LIP merged to four classes that parsers with other labels can be compared on."""


def merge_lip(confusion: Confusion) -> Confusion:
    """A LIP confusion matrix with its classes merged to ``LIP_MERGED``: skin is face, arms and legs,
    clothes is all the rest."""
    groups = np.full(20, 3)
    groups[0], groups[2], groups[[13, 14, 15, 16, 17]] = 0, 1, 2
    member = np.eye(4, dtype=np.int64)[groups]
    return member.T @ confusion @ member


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
