"""Metrics beyond mean IoU: swapped limbs, joints of the label map, calibration, sides at marked keypoints, and people
in photos without people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssnan.data.folder import NOBODY
from ssnan.data.keypoints import Keypoints
from ssnan.evaluation.sides import SideCounts, count_sides, has_limbs
from ssnan.labels import LabelSet

FOUND_SHARE = 0.1
"""The share of a true region's pixels that a prediction needs to find its joint, as in the joint loss."""

SOMEBODY = 0.02
"""The share of person pixels above which a photo without people counts as a false detection."""

BINS = 15
"""Bins of confidence, of equal width (Guo et al., On Calibration of Modern Neural Networks, ICML 2017,
https://arxiv.org/abs/1706.04599)."""


@dataclass
class Structure:
    """Sums over photos; :meth:`numbers` gives the metrics.

    Attributes:
        label_set: label set of the ground truth.
        pairs: number of limb pairs (flip pairs of classes) with at least one limb in the ground truth.
        swapped: number of pairs in which most of a true limb has the class of the other side.
        offsets: distance of every found joint from the true one, in fractions of the photo's sides.
        missed: number of true joints that are missing in the prediction.
        bins: number of pixels, sum of confidences and number of correct pixels by confidence, (BINS, 3).
        sides: counts at keypoints, if they are known.
        empty: number of photos without people.
        false_people: number of those with more than ``SOMEBODY`` person pixels.
    """

    label_set: LabelSet
    pairs: int = 0
    swapped: int = 0
    offsets: list[float] = field(default_factory=list)
    missed: int = 0
    bins: NDArray[np.float64] = field(default_factory=lambda: np.zeros((BINS, 3)))
    sides: SideCounts = field(default_factory=SideCounts)
    empty: int = 0
    false_people: int = 0

    def __add__(self, other: Structure) -> Structure:
        """The sums over the photos of both."""
        return Structure(
            self.label_set,
            self.pairs + other.pairs,
            self.swapped + other.swapped,
            self.offsets + other.offsets,
            self.missed + other.missed,
            self.bins + other.bins,
            self.sides.plus(other.sides),
            self.empty + other.empty,
            self.false_people + other.false_people,
        )

    def add(
        self,
        truth: NDArray[np.uint8],
        predicted: NDArray[np.uint8],
        confidence: NDArray[np.float32] | None = None,
        keypoints: Keypoints = NOBODY,
    ) -> None:
        """Add one photo.

        Args:
            truth: mask values of the label set, (H, W).
            predicted: class ids, (H, W).
            confidence: probability of each predicted class, (H, W), if known.
            keypoints: those of the people, (n, 17, 3), if known.
        """
        self.sides = self.sides.plus(count_sides(predicted, keypoints, self.label_set))
        if not truth.any():
            self.empty += 1
            self.false_people += bool(np.count_nonzero(predicted) > SOMEBODY * predicted.size)
        self._count_limbs(truth, predicted)
        self._measure_joints(truth, predicted)
        if confidence is not None:
            judged = truth < len(self.label_set)
            bins = np.minimum((confidence[judged] * BINS).astype(np.int64), BINS - 1)
            right = truth[judged] == predicted[judged]
            for column, weights in enumerate((np.ones(len(bins)), confidence[judged], right)):
                self.bins[:, column] += np.bincount(bins, weights, minlength=BINS)

    def _count_limbs(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        for pair in self.label_set.flip_pairs:
            wrong = []
            for own, other in (pair, pair[::-1]):
                limb = truth == own
                if limb.any():
                    wrong.append(np.count_nonzero(predicted[limb] == other) > limb.sum() / 2)
            self.pairs += bool(wrong)
            self.swapped += any(wrong)

    def _measure_joints(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        regions = np.zeros((len(self.label_set), len(self.label_set.regions)), dtype=np.int64)
        for index, region in enumerate(self.label_set.regions):
            regions[list(region.class_ids), index] = 1
        member = self.label_set.membership.astype(np.int64)
        inside, size = member @ regions, member.sum(axis=1, keepdims=True)
        wholly = (inside == size) & (size > 0)
        known = ((inside == 0) | wholly).all(axis=1) & (size[:, 0] > 0)
        counts = known[truth]
        for index in range(regions.shape[1]):
            true = (wholly & known[:, None])[truth, index]
            if true.any():
                given = (regions[predicted, index] > 0) & counts
                if given.sum() >= FOUND_SHARE * true.sum():
                    self.offsets.append(float(np.hypot(*(_center(given) - _center(true)))))
                else:
                    self.missed += 1

    def numbers(self) -> dict[str, Any]:
        """Plain values for JSON; None if undefined.

        ``limb_pairs`` and ``limb_pairs_swapped`` are counts. ``label_map_joint_offset`` is the mean over found joints,
        and ``label_map_joints_missed`` the share of missed ones. ``calibration_error`` is the mean gap between
        confidence and accuracy, weighted by pixels. ``keypoints_on_person`` is the share of visible limb keypoints that
        are not on background, ``keypoints_on_limb`` the share on a class of their limb, of either side, if the label
        set has one, and ``sides_right`` the share of those that have the correct side. ``photos_without_people`` is the
        number of photos without people, and ``false_people`` the share of them with a false detection.
        """
        pixels, confidence, right = self.bins.T
        joints = len(self.offsets) + self.missed
        could_be_on_limbs = self.sides.seen if has_limbs(self.label_set) else 0
        return {
            "limb_pairs": self.pairs,
            "limb_pairs_swapped": self.swapped,
            "label_map_joint_offset": float(np.mean(self.offsets)) if self.offsets else None,
            "label_map_joints_missed": self.missed / joints if joints else None,
            "keypoints_on_person": self.sides.on_person / self.sides.seen if self.sides.seen else None,
            "keypoints_on_limb": self.sides.sided / could_be_on_limbs if could_be_on_limbs else None,
            "sides_right": self.sides.right / self.sides.sided if self.sides.sided else None,
            "photos_without_people": self.empty,
            "false_people": self.false_people / self.empty if self.empty else None,
            "calibration_error": float(np.abs(right - confidence).sum() / pixels.sum()) if pixels.any() else None,
        }


def _center(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean (y, x) of the pixels, 0 at the first row or column and 1 at the last, as for the joints of Eq. 4."""
    sides = np.maximum(np.array(mask.shape) - 1, 1)
    return np.array([places.mean() for places in np.nonzero(mask)]) / sides
