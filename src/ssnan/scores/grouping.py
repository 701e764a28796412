"""Group the pixels of people by the centre that they point to, as in Panoptic-DeepLab (https://arxiv.org/abs/1911.10194).

An instance head returns three maps at its own stride: the score of a person's centre, before the sigmoid, and the
offset (y, x), in cells, from each cell to the centre of its person. The centre is that of the head, or of what is seen
of a person whose head is not (:mod:`ssnan.models.instances`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssnan.scores.upsampling import labels_at

MOST = 99
"""The most people in a photo."""

SURE = 0.45
"""The least probability of a centre. Chosen on half of the photos in experiments/people."""

APART = 2
"""A centre is the highest cell within this many cells in each direction."""

LEAST = 0.05
"""The least share of the largest person's cells that a person has; a smaller group joins the others."""


def grouped(maps: NDArray[np.float32], labels: NDArray[np.uint8], person: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody. Somebody without
    a centre is one person.

    Args:
        maps: centre scores and offsets, (3, h, w).
        labels: class ids, (H, W).
        person: whether each mask value is a part of a person, (256,).
    """
    height, width = labels.shape
    shown = person[labels]
    centers = centers_of(maps)
    if len(centers) < 2:
        return shown.astype(np.uint8)
    closeness = -_distances(maps[1:], centers)
    votes = np.bincount(closeness.argmax(axis=0)[_cells(shown, *maps.shape[1:])], minlength=len(centers))
    closeness = closeness[votes >= LEAST * votes.max()]
    return largest_first((labels_at(closeness, height, width) + np.uint8(1)) * shown)


def centers_of(maps: NDArray[np.float32]) -> NDArray[np.intp]:
    """The cells (y, x) of the centres in the maps (3, h, w) of an instance head, most probable first, (n, 2), at most
    :data:`MOST`. A large head can have several peaks; one that points to a more probable one rather than to itself is
    left out."""
    from scipy.ndimage import maximum_filter

    scores = maps[0]
    peaks = (scores == maximum_filter(scores, 2 * APART + 1)) & (scores > np.log(SURE / (1 - SURE)))
    found = np.argwhere(peaks)[np.argsort(-scores[peaks], kind="stable")][:MOST]
    kept: list[NDArray[np.intp]] = []
    for peak in found:
        offset = maps[1:, peak[0], peak[1]]
        if all(np.hypot(*(peak + offset - other)) >= np.hypot(*offset) for other in kept):
            kept.append(peak)
    return np.array(kept, dtype=np.intp).reshape(-1, 2)


def largest_first(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """People (H, W) numbered anew from 1 by their pixels, without gaps; 0 stays 0."""
    areas = np.bincount(numbers.ravel(), minlength=256)[1:]
    table = np.zeros(256, dtype=np.uint8)
    order = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]
    table[1 + order] = np.arange(1, len(order) + 1)
    return table[numbers]


def _distances(offsets: NDArray[np.float32], centers: NDArray[np.intp]) -> NDArray[np.float32]:
    """The distance in cells from the place that each cell points to, (2, h, w), to each centre, (n, h, w)."""
    places = offsets + np.indices(offsets.shape[1:], dtype=np.float32)
    return np.hypot(*(places[:, None] - centers.T[:, :, None, None].astype(np.float32)))


def _cells(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """The nearest pixel of a mask (H, W) for each cell of a map of aligned corners, (height, width)."""
    rows, columns = (
        np.linspace(0, pixels - 1, cells).round().astype(int)
        for pixels, cells in zip(mask.shape, (height, width), strict=True)
    )
    return mask[np.ix_(rows, columns)]
