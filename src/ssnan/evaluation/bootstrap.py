"""How far a difference between two systems hangs on the pictures that happened to be measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""Pixels (..., 3, C) of each class, as ``pictures.json`` has them: right, true and predicted ones."""

DRAWS = 1000


def interval(base: Counts, other: Counts, measure: Callable[[Counts], NDArray[np.float64]]) -> tuple[float, float]:
    """What 95 % of 1,000 draws of the pictures, with replacement, leave of ``measure(other) - measure(base)``.

    Args:
        base, other: counts (S, N, 3, C) of the same N pictures by S runs each, which are pairs.
        measure: of counts summed over pictures, (D, S, 3, C), to numbers (D, S).

    Returns:
        Percentiles 2.5 and 97.5 of the difference, averaged over the pairs.
    """
    pictures = base.shape[1]
    times = np.random.default_rng(0).multinomial(pictures, np.full(pictures, 1 / pictures), size=DRAWS)
    of_base, of_other = (measure(np.einsum("dp,spkc->dskc", times, one)) for one in (base, other))
    low, high = np.percentile((of_other - of_base).mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
