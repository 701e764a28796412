"""Photos without people, where a network often sees a person with low confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssnan.labels import LabelSet
from ssnan.scores.softmax import softmax

MARGIN = 0.01
"""Added to the background's score; more than the rounding of upsampling."""


def without_unsure_people(scores: NDArray[np.float32], label_set: LabelSet, least: float) -> NDArray[np.float32]:
    """Let the background win everywhere if the mean probability of a person, over the positions where a part wins, is
    below ``least`` (0..1). Otherwise return ``scores``, (C, h, w), unchanged.

    The background's score becomes slightly higher than the highest one. So its probability is at most about one half
    where a part had won, which shows that the network was unsure.
    """
    person = label_set.person[: len(label_set)]
    called = person[scores.argmax(axis=0)]
    if not called.any():
        return scores
    if 1 - softmax(scores)[~person].sum(axis=0)[called].mean() >= least:
        return scores
    emptied = scores.copy()
    emptied[0] = scores.max(axis=0) + MARGIN
    return emptied
