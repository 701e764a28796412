"""Tell the people of a label map apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.labels import LabelSet
from ssnan.results.pieces import numbered
from ssnan.scores.grouping import largest_first
from ssnan.scores.softmax import softmax


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
    labels: NDArray[np.uint8], label_set: LabelSet, instances: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody.

    Args:
        labels: class ids, (H, W).
        label_set: their label set.
        instances: the network's own answer, (H, W), see :mod:`ssnan.scores.grouping`. If None, people are found in the
            label map, see :mod:`ssnan.results.pieces`.
    """
    if instances is None:
        return numbered(labels, label_set)
    return largest_first(instances * label_set.person[labels])


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
        cells = _around(strange) & ~_around(own)
        scores = scores.copy()
        scores[0, cells] = scores.max(axis=0)[cells] + 20
    return Alone(np.where(kept, labels, 0).astype(np.uint8), scores, score, others)


def _shares(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.float32]:
    """The share of each cell of a coarser map (height, width) that a mask (H, W) covers."""
    return np.asarray(Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX))


def _around(shares: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The cells with a share above 0, and their neighbours."""
    from scipy import ndimage

    touched: NDArray[np.bool_] = ndimage.binary_dilation(shares > 0, np.ones((3, 3)))
    return touched
