"""Confidence intervals of the difference between two systems, over seeds and over photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import stdev

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""Pixels (..., 3, C) of each class, as in ``photos.json``: correct, true and predicted ones."""

DRAWS = 1000

T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t, two-sided 95 %, for 1 to 10 degrees of freedom; the last one, slightly too wide, also serves for
more."""


def half_width(differences: Sequence[float]) -> float:
    """Half the 95 % interval (Student's t) of the mean of at least two differences, one per seed."""
    count = len(differences)
    return T_95[min(count - 1, len(T_95)) - 1] * stdev(differences) / count**0.5


def photos_of(names: Iterable[str]) -> dict[str, str]:
    """The photo of each name. ``plain_a``, ``turned_a`` and ``part_a`` are versions of one photo, ``plain_a``, and not
    independent. Without all three, they are names like any other."""
    photos = {name: name for name in names}
    for name in [*photos]:
        if name.startswith("plain_"):
            versions = [name.replace("plain", version, 1) for version in ("plain", "turned", "part")]
            if photos.keys() >= {*versions}:
                photos |= dict.fromkeys(versions, name)
    return photos


def interval(
    base: Counts, other: Counts, measure: Callable[[Counts], NDArray[np.float64]], names: Sequence[str]
) -> tuple[float, float]:
    """The 95 % bootstrap interval of ``measure(other) - measure(base)``, from 1,000 draws of the photos with
    replacement.

    Args:
        base, other: counts (S, N, 3, C) of the same N photos, for S paired runs.
        measure: from counts summed over photos, (D, S, 3, C), to numbers (D, S).
        names: names of the N photos; all versions of a photo are drawn together, see :func:`photos_of`.

    Returns:
        Percentiles 2.5 and 97.5 of the difference, averaged over the pairs.
    """
    photo_of = photos_of(names)
    _, photo = np.unique([photo_of[name] for name in names], return_inverse=True)
    photos = int(photo.max()) + 1
    times = np.random.default_rng(0).multinomial(photos, np.full(photos, 1 / photos), size=DRAWS)[:, photo]
    of_base, of_other = (measure(np.einsum("dp,spkc->dskc", times, counts)) for counts in (base, other))
    low, high = np.percentile((of_other - of_base).mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
