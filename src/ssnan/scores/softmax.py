"""Class scores to probabilities and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities (C, ...) of scores (C, ...)."""
    shares: NDArray[np.float32] = np.exp(scores - scores.max(axis=0))
    return shares / shares.sum(axis=0)


def logarithms(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores for these probabilities, the inverse of :func:`softmax`; 0 gives a very low score."""
    scores: NDArray[np.float32] = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    return scores
