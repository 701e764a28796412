"""Class weights that balance rare classes (SegNet, https://arxiv.org/abs/1511.00561, after Eigen and Fergus)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def median_frequency_weights(pixels: NDArray[np.int64], power: float = 1.0) -> NDArray[np.float64]:
    """The weight of every class, (C,), from its pixels in each of n masks, (n, C).

    The frequency of a class is its share of the pixels of the masks that contain it. Its weight is the median of all
    frequencies divided by its own, to the ``power``: 1 as in SegNet, less for smaller differences. A class in no mask
    has weight 1.
    """
    holds = pixels > 0
    in_holders = (pixels.sum(axis=1, keepdims=True) * holds).sum(axis=0)
    seen = in_holders > 0
    frequency = pixels.sum(axis=0) / np.maximum(in_holders, 1)
    weights = np.ones(len(frequency))
    weights[seen] = (np.median(frequency[seen]) / frequency[seen]) ** power
    return weights
