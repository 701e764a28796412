"""Photos without people. A network often calls something a person there, and is rarely sure of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssnan.labels import LabelSet
from ssnan.parsing.softmax import softmax

MARGIN = 0.01
"""Of the background's score: more than upsampling rounds."""


def without_unsure_people(scores: NDArray[np.float32], label_set: LabelSet, least: float) -> NDArray[np.float32]:
    """Scores (C, h, w) in which the background wins everywhere, if the mean probability of a person over the
    positions that a part wins is below ``least`` (0..1); ``scores`` themselves otherwise.

    The background's score becomes a little higher than the highest one. Its probability is then about one half at most
    where a part had won, which says that the network was unsure.
    """
    person = label_set.person[: len(label_set)]
    called = person[scores.argmax(axis=0)]
    if not called.any():
        return scores
    if softmax(scores[:, called])[person].sum(axis=0).mean() >= least:
        return scores
    emptied = scores.copy()
    emptied[0] = scores.max(axis=0) + MARGIN
    return emptied
