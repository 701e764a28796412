"""From class scores to probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of classes, (C, ...), for scores (C, ...)."""
    shares: NDArray[np.float32] = np.exp(scores - scores.max(axis=0))
    return shares / shares.sum(axis=0)
