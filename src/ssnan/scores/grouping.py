"""Group the pixels of people by the centre that they point to, as in Panoptic-DeepLab (https://arxiv.org/abs/1911.10194).

An instance head returns three maps at its own stride: the score of a person's centre, before the sigmoid, and the
offset (y, x), in cells, from each cell to the centre of its person. The centre is that of the head, or of what is seen
of a person whose head is not (:mod:`ssnan.models.instances`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.labels import LabelSet
from ssnan.scores.upsampling import labels_at

MOST_PEOPLE = 99
"""The most people in a photo."""

SURE = 0.4
"""The least probability of a centre. Chosen on half of the photos in experiments/people, as the values below."""

APART = 2
"""A centre is the highest cell within this many cells in each direction, and as near to somebody in the label map."""

ONE_HEAD = 0.5
"""Centres in one head of the label map are one person if they point to places that are nearer to each other than this,
relative to the square root of the head's cells."""

LEAST_HEAD = 0.3
"""The least share of the largest head's cells that a head has whose centre the network missed."""

LEAST = 0.05
"""The least share of the largest person's cells that a person has; a smaller group joins the others. Also the least
share of the largest piece that a piece has whose centre the network missed."""


def grouped(maps: NDArray[np.float32], labels: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody. Somebody without
    a centre is one person.

    Args:
        maps: centre scores and offsets, (3, h, w).
        labels: class ids, (H, W).
        label_set: their label set.
    """
    cells = _at_cells(labels, *maps.shape[1:])
    shown = label_set.person[labels]
    centers = centers_of(maps, label_set.head[cells], label_set.person[cells])
    if len(centers) < 2:
        return shown.astype(np.uint8)
    closeness = -_distances(maps[1:], centers)
    votes = np.bincount(closeness.argmax(axis=0)[label_set.person[cells]], minlength=len(centers))
    closeness = closeness[votes >= LEAST * votes.max()]
    return largest_first((labels_at(closeness, *labels.shape) + np.uint8(1)) * shown)


def centers_of(maps: NDArray[np.float32], heads: NDArray[np.bool_], people: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The cells (y, x) of the centres, most probable first, (n, 2), at most :data:`MOST_PEOPLE`.

    Centres are peaks of the scores at people. Bystanders whom the label map calls background have none; otherwise feet
    of somebody else would point to them. A large head of the label map may have several peaks, but has one centre. A
    head without a peak has a centre too, unless it points to another one, and so has a piece of the label map that
    touches nobody with a centre, such as somebody whose head is covered.

    Args:
        maps: centre scores and offsets, (3, h, w).
        heads, people: where a head is, and where anybody is, (h, w).
    """
    from scipy import ndimage

    scores = maps[0]
    peaks = (scores == ndimage.maximum_filter(scores, 2 * APART + 1)) & (scores > np.log(SURE / (1 - SURE)))
    peaks &= ndimage.maximum_filter(people, 2 * APART + 1, mode="constant")
    numbers, sizes = _connected(heads)
    kept: list[NDArray[np.intp]] = []
    places: dict[int, list[NDArray[np.float32]]] = {}
    for peak in np.argwhere(peaks)[np.argsort(-scores[peaks], kind="stable")]:
        head, place = int(numbers[tuple(peak)]), (peak + maps[(slice(1, None), *peak)]).astype(np.float32)
        others = places.setdefault(head, [])
        if head == 0 or all(np.hypot(*(place - other)) >= ONE_HEAD * sizes[head] ** 0.5 for other in others):
            kept.append(peak)
            others.append(place)
    kept += _missed(maps[1:], heads, LEAST_HEAD, kept)
    if kept:
        kept += _missed(maps[1:], people, LEAST, kept)
    return np.array(kept[:MOST_PEOPLE], dtype=np.intp).reshape(-1, 2)


def _missed(
    offsets: NDArray[np.float32], where: NDArray[np.bool_], least: float, centers: Sequence[NDArray[np.intp]]
) -> list[NDArray[np.intp]]:
    """Centres of connected pieces of at least ``least`` of the largest, without one of ``centers``: the mean place that
    a piece points to, if this is nearer to the middle of the piece than to any centre."""
    numbers, sizes = _connected(where)
    with_center = {int(numbers[tuple(center)]) for center in centers}
    found = []
    for number in np.flatnonzero(sizes >= max(2, least * sizes.max(initial=0))).tolist():
        if number in with_center:
            continue
        cells = np.argwhere(numbers == number)
        middle = cells.mean(axis=0)
        place = middle + offsets[:, *cells.T].mean(axis=1)
        if all(np.hypot(*(place - center)) >= np.hypot(*(place - middle)) for center in centers):
            found.append(place.round().clip(0, np.array(where.shape) - 1).astype(np.intp))
    return found


def _connected(where: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The number of the connected piece at every cell, 0 for none, and the cells of each piece, 0 for none."""
    from scipy import ndimage

    numbers, count = ndimage.label(where, structure=np.ones((3, 3)))
    return numbers, np.bincount(numbers[where], minlength=count + 1)


def largest_first(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """People (H, W) numbered anew from 1 by their pixels, without gaps; 0 stays 0."""
    areas = np.array(Image.fromarray(numbers).histogram()[1:])  # bincount would convert all pixels to 64 bits
    table = np.zeros(256, dtype=np.uint8)
    order = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]
    table[1 + order] = np.arange(1, len(order) + 1)
    return table[numbers]


def _distances(offsets: NDArray[np.float32], centers: NDArray[np.intp]) -> NDArray[np.float32]:
    """The distance in cells from the place that each cell points to, (2, h, w), to each centre, (n, h, w)."""
    places = offsets + np.indices(offsets.shape[1:], dtype=np.float32)
    return np.hypot(*(places[:, None] - centers.T[:, :, None, None].astype(np.float32)))


def _at_cells(labels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The nearest pixel of a map (H, W) for each cell of a map of aligned corners, (height, width)."""
    rows, columns = (
        np.linspace(0, pixels - 1, cells).round().astype(int)
        for pixels, cells in zip(labels.shape, (height, width), strict=True)
    )
    return labels[np.ix_(rows, columns)]
