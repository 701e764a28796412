"""Windows for long photos, such as scrolling screenshots. The network reads a photo at a fixed size, so people in a
long photo would be too small; windows show them larger."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ssnan.scores.softmax import logarithms, softmax

LONG = 3.0
"""The ratio of longer to shorter side from which a photo is parsed in windows."""

WINDOW = 2.0
"""The ratio of a window. Neighbours overlap by half or more."""

SHORTEST = 1 / 8
"""The least share of the photo's length that a window has, which limits the number of windows of a thin photo."""


def is_long(height: int, width: int) -> bool:
    """Whether a photo of this size is parsed in windows."""
    return max(height, width) > LONG * min(height, width)


def in_windows(
    rgb: NDArray[np.uint8], scores_of: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Class scores (C, h, w) of a photo (H, W, 3).

    Most photos get ``scores_of`` the whole photo. A long photo gets log mean probabilities of its windows, weighted
    most in the middle of each window."""
    height, width = rgb.shape[:2]
    if not is_long(height, width):
        return scores_of(rgb)
    along = 0 if height > width else 1
    length = rgb.shape[along]
    window = max(round(WINDOW * min(height, width)), math.ceil(SHORTEST * length))
    count = math.ceil(2 * (length - window) / window) + 1
    starts = np.linspace(0, length - window, count).round().astype(int)
    parts = np.moveaxis(rgb, along, 0)
    total: NDArray[np.float32] | None = None
    weights = np.zeros(0)
    for start in starts:
        part = np.moveaxis(parts[start : start + window], 0, along)
        probabilities = np.moveaxis(softmax(scores_of(np.ascontiguousarray(part))), 1 + along, 1)
        cells = probabilities.shape[1]
        if total is None:
            rows = round((length - 1) * (cells - 1) / (window - 1)) + 1
            total = np.zeros((len(probabilities), rows, probabilities.shape[2]), dtype=np.float32)
            weights = np.zeros(rows)
        places = np.linspace(0, length - 1, len(weights)) - start  # in pixels of the window, corners aligned
        inside = np.flatnonzero((places >= 0) & (places <= window - 1))
        cell = places[inside] / (window - 1) * (cells - 1)
        lower = np.minimum(cell.astype(int), cells - 2)
        share = (cell - lower).astype(np.float32)[:, None]
        values = probabilities[:, lower] * (1 - share) + probabilities[:, lower + 1] * share
        weight = 1 + np.minimum(places[inside], window - 1 - places[inside])
        total[:, inside] += values * weight.astype(np.float32)[:, None]
        weights[inside] += weight
    assert total is not None
    mean = np.moveaxis(total / weights.astype(np.float32)[:, None], 1, 1 + along)
    return np.ascontiguousarray(logarithms(mean))
