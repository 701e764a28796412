"""Tell the people of a label map apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.labels import LabelSet
from ssnan.results.pieces import numbered
from ssnan.scores.grouping import grouped, largest_first
from ssnan.scores.softmax import softmax

ABOVE = 20.0
"""By how much the background's score exceeds all others where other people are."""

AROUND = 1.5
"""Cells this near to a person are the person's, also if another is nearer."""


class Alone(NamedTuple):
    """One person of a photo; the others are background, in the scores too.

    Attributes:
        labels: class ids, (H, W).
        scores: class scores, (C, h, w); None if they are not known.
        score: mean probability of a person over the person's pixels, 0..1; None without scores.
        others: where other people are, bool (H, W).
    """

    labels: NDArray[np.uint8]
    scores: NDArray[np.float32] | None
    score: float | None
    others: NDArray[np.bool_]


def find(
    labels: NDArray[np.uint8],
    label_set: LabelSet,
    instances: NDArray[np.uint8] | None = None,
    instance_maps: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody.

    Args:
        labels: class ids, (H, W).
        label_set: their label set.
        instances: the numbers, (H, W), if they are already known.
        instance_maps: otherwise, what an instance head returned, see :mod:`ssnan.scores.grouping`. Without both, people
            are found in the label map, see :mod:`ssnan.results.pieces`.
    """
    if instances is not None:
        return largest_first(instances.astype(np.uint8, copy=False) * label_set.person[labels])
    if instance_maps is not None:
        return grouped(instance_maps, labels, label_set)
    return numbered(labels, label_set)


def alone(
    kept: NDArray[np.bool_], labels: NDArray[np.uint8], label_set: LabelSet, scores: NDArray[np.float32] | None
) -> Alone:
    """The person whose pixels are ``kept`` (H, W), of a label map (H, W) and its scores (C, h, w)."""
    others = label_set.person[labels] & ~kept
    score = None
    if scores is not None:
        own, strange = (_shares(mask, *scores.shape[1:]) for mask in (kept, others))
        parts = label_set.person[: len(label_set)]
        score = float(np.average(softmax(scores)[parts].sum(axis=0), weights=own))
        cells = _nearer(strange, own)
        scores = scores.copy()
        scores[0, cells] = scores.max(axis=0)[cells] + ABOVE
    return Alone(labels * kept, scores, score, others)


def _shares(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.float32]:
    """The share of each cell of a coarser map (height, width) that a mask (H, W) covers, 0..1, in steps of 1 / 255
    unless all shares are smaller."""
    size = width, height
    covered = Image.fromarray(mask.view(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX)
    if covered.getbbox() is None and mask.any():  # a few pixels of a large photo, rounded to nothing
        covered = Image.fromarray(mask * np.float32(255)).resize(size, Image.Resampling.BOX)
    return np.asarray(covered, dtype=np.float32) / np.float32(255)


def _nearer(strange: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The cells that are nearer to the shares of other people than to a person's own, and not around the person."""
    from scipy.ndimage import distance_transform_edt

    if not strange.any():
        return np.zeros(strange.shape, dtype=np.bool_)
    to_strange, to_own = (distance_transform_edt(shares == 0) for shares in (strange, own))
    nearer: NDArray[np.bool_] = (to_own > to_strange) & (to_own > AROUND)
    return nearer
