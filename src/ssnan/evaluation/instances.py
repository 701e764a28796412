"""People and their parts told apart: average precision (AP) and the share of correct parts.

A prediction is right if its IoU with a true instance of the same photo reaches a threshold. In the order of their
scores, predictions take the free true instance with the highest IoU. AP is the area under the curve of precision over
recall, with precision made monotone, as in PASCAL VOC 2010 and COCO. Predicted people who are mostly on unknown people,
such as a crowd, do not count.

- AP of people: instances are whole people. ``ap_50`` at an IoU of .5, ``ap`` the mean over .5, .55, … .95, as in COCO.
- APʳ: instances are the parts of people, one class at a time, averaged over classes (Hariharan et al., ECCV 2014; CIHP:
  Gong et al., ECCV 2018). ``ap_r_50``, and ``ap_r`` the mean over .1, .2, … .9.
- APᵖ: instances are people, and the mean IoU of their parts takes the place of the IoU (MHP: Li et al., 2017).
  ``ap_p_50``, and ``ap_p`` the mean over .1, .2, … .9.
- PCP: for every true person, the share of parts whose IoU with those of the person found for it, as in ``ap_p_50``,
  exceeds .5; 0 if there is none (MHP).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ssnan.labels import UNKNOWN_PERSON, LabelSet
from ssnan.results.result import ParsingResult

COCO = tuple(0.5 + 0.05 * step for step in range(10))
TENTHS = tuple(0.1 * step for step in range(1, 10))

Floats = NDArray[np.float64]


class Pairs(NamedTuple):
    """Predictions and true instances of one photo.

    Attributes:
        scores: (P,).
        iou: (P, T).
    """

    scores: Floats
    iou: Floats


class _Photo(NamedTuple):
    """Predicted people P, true people T and classes C of one photo.

    Attributes:
        scores: of people, (P,).
        part_scores: of parts, (P, C).
        iou: of whole people, (P, T).
        part_iou: (P, T, C); NaN if neither has the part.
        found, true: whether they have each part, (P, C) and (T, C).
    """

    scores: Floats
    part_scores: Floats
    iou: Floats
    part_iou: Floats
    found: NDArray[np.bool_]
    true: NDArray[np.bool_]


@dataclass
class Instances:
    """The people of many photos; :meth:`numbers` gives the metrics.

    Attributes:
        label_set: label set of truth and predictions.
        photos: what :meth:`add` found.
    """

    label_set: LabelSet
    photos: list[_Photo] = field(default_factory=list)

    def add(self, truth: NDArray[np.uint8], people: NDArray[np.uint8], result: ParsingResult) -> None:
        """Add one photo.

        Args:
            truth: mask values of the label set, (H, W). Parts do not count where they are not a class.
            people: the person at every pixel, (H, W), 0 for nobody and :data:`ssnan.labels.UNKNOWN_PERSON`.
            result: the prediction.
        """
        count = len(self.label_set)
        numbers, owners = np.unique(people, return_inverse=True)
        rows = np.cumsum((numbers > 0) & (numbers != UNKNOWN_PERSON)) * ((numbers > 0) & (numbers != UNKNOWN_PERSON))
        true, total = rows[owners].reshape(people.shape), int(rows.max(initial=0))
        known = people != UNKNOWN_PERSON
        mine, found = result.people_map.astype(np.int64), result.count
        whole = np.bincount((mine * (total + 1) + true)[known], minlength=(found + 1) * (total + 1))
        judged = known & (truth < count)
        one, other = mine * count + result.labels * (mine > 0), true * count + truth * (true > 0)
        of_one = np.bincount(one[judged], minlength=(found + 1) * count).reshape(-1, count)[1:]
        of_other = np.bincount(other[judged], minlength=(total + 1) * count).reshape(-1, count)[1:]
        same = judged & (result.labels == truth)
        both = np.bincount(
            ((mine * (total + 1) + true) * count + truth)[same], minlength=(found + 1) * (total + 1) * count
        ).reshape(found + 1, total + 1, count)[1:, 1:]
        of_other[:, 0] = 0  # a map of people may cover some background; that of a result does not
        counts = 2 * np.bincount(mine[known], minlength=found + 1)[1:] >= np.bincount(mine.ravel())[1:]
        self.photos.append(
            _Photo(
                np.array([1.0 if person.score is None else person.score for person in result.people])[counts],
                _part_scores(result, count)[counts],
                _iou_of_people(whole.reshape(found + 1, total + 1))[counts],
                _ratio(both, of_one[:, None] + of_other[None] - both)[counts],
                of_one[counts] > 0,
                of_other > 0,
            )
        )

    def numbers(self) -> dict[str, Any]:
        """Plain values for JSON; None if undefined, such as the values of parts for masks without parts. ``people`` is
        the number of true people, and ``right_count`` the share of photos with as many predicted people as true
        ones."""
        whole = [Pairs(photo.scores, photo.iou) for photo in self.photos]
        means = [Pairs(photo.scores, _mean(photo.part_iou)) for photo in self.photos]
        classes = [i for i in range(1, len(self.label_set)) if any(photo.true[:, i].any() for photo in self.photos)]
        parts = {i: [_of_class(photo, i) for photo in self.photos] for i in classes}
        counts = [photo.iou.shape for photo in self.photos]
        return {
            "people": sum(total for _, total in counts),
            "right_count": float(np.mean([found == total for found, total in counts])) if counts else None,
            "ap_50": average_precision(whole, 0.5),
            "ap": _averaged(whole, COCO),
            "ap_r_50": _mean_of(average_precision(parts[i], 0.5) for i in classes),
            "ap_r": _mean_of(_averaged(parts[i], TENTHS) for i in classes),
            "ap_p_50": average_precision(means, 0.5) if classes else None,
            "ap_p": _averaged(means, TENTHS) if classes else None,
            "pcp_50": self._correct_parts(),
        }

    def _correct_parts(self) -> float | None:
        shares: list[float] = []
        for photo in self.photos:
            taken = matched(Pairs(photo.scores, _mean(photo.part_iou)), 0.5)
            for number, true in enumerate(photo.true):
                if true.any():
                    finder = np.flatnonzero(taken == number)
                    shares.append(float((photo.part_iou[finder[0], number, true] > 0.5).mean()) if len(finder) else 0.0)
        return float(np.mean(shares)) if shares else None


def matched(pairs: Pairs, threshold: float) -> NDArray[np.int64]:
    """The true instance that each prediction takes, (P,), −1 for none."""
    taken = np.full(len(pairs.scores), -1)
    free = np.nan_to_num(pairs.iou)
    for prediction in np.argsort(-pairs.scores, kind="stable"):
        if free.shape[1] and free[prediction].max() >= threshold:
            taken[prediction] = free[prediction].argmax()
            free[:, taken[prediction]] = -1
    return taken


def average_precision(photos: Sequence[Pairs], threshold: float) -> float | None:
    """AP at an IoU; None without true instances."""
    total = sum(pairs.iou.shape[1] for pairs in photos)
    if not total:
        return None
    scores = np.concatenate([pairs.scores for pairs in photos])
    right = np.concatenate([matched(pairs, threshold) >= 0 for pairs in photos])[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float(precision[right].sum() / total)


def instances_table(measured: dict[str, Any]) -> Table:
    """The numbers of :meth:`Instances.numbers` as a table, in percent."""
    table = Table(title=f"{measured['people']} people told apart: AP, APʳ, APᵖ, PCP, photos with the right count (%)")
    names = {
        "ap_50": "AP .5", "ap": ".5–.95", "ap_r_50": "APʳ .5", "ap_r": ".1–.9", "ap_p_50": "APᵖ .5",
        "ap_p": ".1–.9", "pcp_50": "PCP .5", "right_count": "count",
    }  # fmt: skip
    for name in names.values():
        table.add_column(name, justify="right")
    table.add_row(*("–" if measured[key] is None else f"{100 * measured[key]:.2f}" for key in names))
    return table


def _of_class(photo: _Photo, class_id: int) -> Pairs:
    """The parts of one class."""
    found, true = photo.found[:, class_id], photo.true[:, class_id]
    return Pairs(photo.part_scores[found, class_id], photo.part_iou[found][:, true, class_id])


def _part_scores(result: ParsingResult, count: int) -> Floats:
    """The mean probability of each part of each person, (P, C); the person's score for a map without scores."""
    if result.scores is None:
        return np.ones((result.count, count))
    parts = result.people_map.astype(np.int64) * count + result.labels
    size = (result.count + 1) * count
    sums = np.bincount(parts.ravel(), result.confidence.ravel(), minlength=size)
    return _ratio(sums, np.bincount(parts.ravel(), minlength=size)).reshape(-1, count)[1:]


def _iou_of_people(whole: NDArray[np.int64]) -> Floats:
    """The IoU of people (P, T) from the pixels of each pair, (P + 1, T + 1); the first row and column are nobody."""
    both = whole[1:, 1:]
    return _ratio(both, whole[1:].sum(axis=1)[:, None] + whole[:, 1:].sum(axis=0) - both)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(part_iou: Floats) -> Floats:
    """The mean IoU of the parts that one of both has, (P, T) of (P, T, C)."""
    present = ~np.isnan(part_iou)
    return np.nan_to_num(_ratio(np.nansum(part_iou, axis=2), present.sum(axis=2)))


def _averaged(photos: Sequence[Pairs], thresholds: Iterable[float]) -> float | None:
    return _mean_of(average_precision(photos, threshold) for threshold in thresholds)


def _mean_of(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
