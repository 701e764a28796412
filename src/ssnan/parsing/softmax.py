"""From class scores to probabilities, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of classes, (C, ...), for scores (C, ...)."""
    shares: NDArray[np.float32] = np.exp(scores - scores.max(axis=0))
    return shares / shares.sum(axis=0)


def logarithms(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores whose :func:`softmax` these probabilities are; of 0, a very low one."""
    scores: NDArray[np.float32] = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    return scores
