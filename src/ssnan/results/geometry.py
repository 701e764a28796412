"""Boxes and centres of masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def extent_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of a mask (H, W), right and bottom exclusive; None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def center_of(mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> tuple[float, float] | None:
    """Centre of mass (x, y) of a mask (H, W), whose first pixel has x ``left`` and y ``top``; None if it is empty."""
    by_row, by_column = mask.sum(axis=1), mask.sum(axis=0)
    total = int(by_row.sum())
    if not total:
        return None
    x, y = (
        float(np.arange(first, first + len(counts)) @ counts) / total
        for first, counts in ((left, by_column), (top, by_row))
    )
    return x, y
