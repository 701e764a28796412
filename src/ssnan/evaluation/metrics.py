"""The confusion matrix, the paper's three numbers and the IoU of each class (Section 4.1, Metrics)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssnan.evaluation.bootstrap import photos_of
from ssnan.labels import LIP, ClassSet, LabelSet
from ssnan.results.remapping import TARGETS

FREQUENT = 28
"""The least number of photos of a frequent class; the IoU of a rarer one depends on a few photos."""

Confusion = NDArray[np.int64]
"""Pixel counts (C + S, C): one row per true class, then one per set of the label set; one column per predicted
class."""


def rows_of(label_set: LabelSet) -> NDArray[np.int64]:
    """The row of a confusion matrix for every mask value, (256,); −1 for values that do not count."""
    rows = np.full(256, -1)
    rows[: len(label_set)] = range(len(label_set))
    for index, one in enumerate(label_set.sets):
        rows[one.value] = len(label_set) + index
    return rows


def confusion_matrix(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], label_set: LabelSet) -> Confusion:
    """Count pixels by true and predicted class; pixels of the ignored value do not count.

    Raises:
        ValueError: shapes differ, or the truth has a value that is not a class, a set or ignored.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected maps of one shape, got truth {truth.shape} and prediction {predicted.shape}")
    count = len(label_set)
    valid = truth != label_set.ignore_index
    rows = rows_of(label_set)[truth[valid]]
    if rows.size and rows.min() < 0:
        raise ValueError(
            f"label id {truth[valid][rows < 0].max()} is not a class of {label_set.name!r} (0..{count - 1}), one of "
            f"its sets, or the ignored value {label_set.ignore_index}"
        )
    total = count + len(label_set.sets)
    return np.bincount(rows * count + predicted[valid], minlength=total * count).reshape(total, count)


def class_counts(confusion: Confusion, sets: Sequence[ClassSet] = ()) -> NDArray[np.int64]:
    """The correct, true and predicted pixels of each class, (3, C), which determine its IoU.

    A pixel of a set counts as predicted only if the prediction is not in the set, because it is then surely wrong.
    """
    count = confusion.shape[1]
    classes, unsure = confusion[:count], confusion[count:]
    inside = _inside(unsure, sets)
    predicted = classes.sum(axis=0) + unsure.sum(axis=0, where=~inside)
    return np.stack([np.diag(classes), classes.sum(axis=1), predicted])


def iou_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The IoU of every class, (…, C), from :func:`class_counts`, (…, 3, C); NaN if the truth lacks the class."""
    hits, true, predicted = np.moveaxis(counts, -2, 0)
    return np.where(true > 0, _ratio(hits, true + predicted - hits), np.nan)


def frequent_classes(photos: Mapping[str, Any], label_set: LabelSet) -> list[str]:
    """Classes in at least :data:`FREQUENT` photos.

    Args:
        photos: :func:`class_counts` of each photo by name, as in ``photos.json``. Versions of a photo count once,
            see :func:`ssnan.evaluation.bootstrap.photos_of`.
    """
    photo_of = photos_of(photos)
    seen = [{photo_of[name] for name, (_, true, _) in photos.items() if true[i]} for i in range(len(label_set))]
    return [name for name, photos in zip(label_set.classes, seen, strict=True) if len(photos) >= FREQUENT]


@dataclass(frozen=True)
class Score:
    """The numbers of the paper's tables, as fractions. Classes in neither truth nor prediction are NaN, and the means
    ignore them."""

    overall_accuracy: float
    mean_accuracy: float
    mean_iou: float
    iou: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @classmethod
    def of(cls, confusion: Confusion, sets: Sequence[ClassSet] = ()) -> Score:
        """The numbers of a confusion matrix.

        Mean accuracy averages over the classes in the truth. A class that is only predicted has IoU 0 and counts in the
        mean IoU.

        In the overall accuracy, a pixel of a set is correct if the prediction is in the set. In the IoU of a class, it
        is a false positive if this class was predicted and is not in the set; otherwise it does not count.
        """
        hits, true, predicted = class_counts(confusion, sets)
        unsure = confusion[confusion.shape[1] :]
        right = hits.sum() + unsure.sum(where=_inside(unsure, sets))
        iou = _ratio(hits, true + predicted - hits)
        accuracy = _ratio(hits, true)
        return cls(
            overall_accuracy=float(_ratio(right[None], confusion.sum()[None])[0]),
            mean_accuracy=_mean(accuracy),
            mean_iou=_mean(iou),
            iou=iou,
            accuracy=accuracy,
        )

    @classmethod
    def of_present(cls, confusion: Confusion, sets: Sequence[ClassSet] = ()) -> Score:
        """As :meth:`of`, but means are only over the classes in the truth, for subsets that lack some classes."""
        score = cls.of(confusion, sets)
        present = confusion[: confusion.shape[1]].sum(axis=1) > 0
        iou = np.where(present, score.iou, np.nan)
        return cls(score.overall_accuracy, score.mean_accuracy, _mean(iou), iou, score.accuracy)

    def to_dict(self, label_set: LabelSet) -> dict[str, Any]:
        """Plain numbers for JSON; None for classes that do not occur."""
        return {
            "overall_accuracy": self.overall_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "mean_iou": self.mean_iou,
            "iou": {
                name: None if np.isnan(v) else float(v) for name, v in zip(label_set.classes, self.iou, strict=True)
            },
        }


LIP_MERGED, _HOMES = TARGETS["merged"]
"""LIP merged to four classes, for comparison with parsers that use other labels."""

LIP_GROUPS = np.array([LIP_MERGED.classes.index(_HOMES[name][0]) for name in LIP.classes])
"""The class of ``LIP_MERGED`` for every LIP class: skin is face, arms and legs; clothes is the rest."""

PERSON = LabelSet(name="person", classes=("background", "person"), palette=((0, 0, 0), (255, 255, 255)))
"""Any label set merged to two classes."""


def person_groups(label_set: LabelSet) -> NDArray[np.int64]:
    """The class of ``PERSON`` for every class."""
    return (np.arange(len(label_set)) > 0).astype(np.int64)


def merged(confusion: Confusion, groups: NDArray[np.int64], sets: Sequence[ClassSet] = ()) -> Confusion:
    """Merge the classes of a confusion matrix: class c belongs to group ``groups[c]``. Pixels of a set within one group
    belong to this group; pixels of other sets are dropped."""
    member = np.eye(groups.max() + 1, dtype=np.int64)[groups]
    certain = [len(set(groups[list(class_set.class_ids)])) == 1 for class_set in sets]
    of_sets = [member[class_set.class_ids[0]] * sure for class_set, sure in zip(sets, certain, strict=True)]
    rows = np.concatenate([member, np.reshape(of_sets, (-1, member.shape[1]))]).astype(np.int64)
    return rows.T @ confusion @ member


def _inside(unsure: Confusion, sets: Sequence[ClassSet]) -> NDArray[np.bool_]:
    """Whether each class is in each set, (S, C)."""
    inside = np.zeros(unsure.shape, dtype=np.bool_)
    for row, one in zip(inside, sets, strict=True):
        row[list(one.class_ids)] = True
    return inside


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
