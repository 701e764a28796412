"""Find people in a label map alone: by its connected regions, and by the heads in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssnan.labels import LabelSet
from ssnan.scores.grouping import MOST_PEOPLE, largest_first

LARGE = 0.15
"""The least share of the largest region that another person has, and of the largest head that another head has. A
person two fifths as tall has about this share. Smaller regions are mostly occluded hands or feet, errors, or people far
behind. Chosen by hand."""

NEAR = 0.5
"""The widest gap between a person and a region that belongs to it, relative to the square root of the person's pixels.
Chosen by hand."""

UPRIGHT = 8.0
"""A body is mostly below its head, so a distance downwards counts this many times less than one to a side or upwards.
Chosen on half of the photos in experiments/people."""

MOST_PIECES = 1000
"""The most regions that are given to people, largest first, beside those with a head; the others are nobody's. A map of
noise has more, and the time grows with their square."""

Point = tuple[float, float]


def numbered(labels: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody.

    Every large head is a person. A connected region belongs to the head in it; several heads share it, and each pixel
    goes to the nearest. A region without a head belongs to a person near by. Further away, or if the label set has no
    region ``head``, it is a person of its own if it is large. Otherwise it is nobody's.

    Args:
        labels: class ids, (H, W).
        label_set: their label set.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(label_set.person[labels], structure=np.ones((3, 3)))
    if not count:
        return np.zeros(labels.shape, dtype=np.uint8)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    windows = ndimage.find_objects(pieces)
    heads = _heads(labels, pieces, label_set)
    owner = np.zeros(count + 1, dtype=np.uint8)
    for number, (piece, _) in enumerate(heads, start=1):
        owner[piece] = owner[piece] or number
    people, owned = len(heads), sorted({piece for piece, _ in heads})
    boxes = np.array([[(side.start, side.stop) for side in window] for window in windows])
    for piece in (1 + np.argsort(-sizes, kind="stable")[:MOST_PIECES]).tolist():
        if owner[piece]:
            continue
        gaps = _gaps(boxes[piece - 1], boxes[np.array(owned, dtype=int) - 1])
        nearest = owned[int(gaps.argmin())] if owned else piece
        large = sizes[piece - 1] >= LARGE * sizes.max()
        if owned and (heads or not large) and gaps.min() <= NEAR * sizes[nearest - 1] ** 0.5:
            owner[piece] = owner[nearest]
        elif large and people < MOST_PEOPLE:
            people += 1
            owner[piece] = people
        else:
            continue
        owned.append(piece)
    result = owner[pieces]
    for piece in {piece for piece, _ in heads}:
        _share(result, pieces, piece, windows[piece - 1], {n: at for n, (of, at) in enumerate(heads, 1) if of == piece})
    return largest_first(result)


def _heads(labels: NDArray[np.uint8], pieces: NDArray[np.int32], label_set: LabelSet) -> list[tuple[int, Point]]:
    """The region of every large head and its centre (y, x), largest first."""
    from scipy import ndimage

    heads, count = ndimage.label(label_set.head[labels], structure=np.ones((3, 3)))
    if not count:
        return []
    sizes = np.bincount(heads.ravel())[1:]
    large = 1 + np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes >= LARGE * sizes.max())][:MOST_PEOPLE]
    windows = ndimage.find_objects(heads)
    found = []
    for head in large.tolist():
        rows, columns = window = windows[head - 1]
        y, x = np.nonzero(heads[window] == head)
        center = float((rows.start + y).mean()), float((columns.start + x).mean())
        found.append((int(pieces[window][y[0], x[0]]), center))
    return found


def _share(
    result: NDArray[np.uint8],
    pieces: NDArray[np.int32],
    piece: int,
    window: tuple[slice, slice],
    heads: dict[int, Point],
) -> None:
    """Give each pixel of a region to the nearest of its heads, centres (y, x) by number."""
    if len(heads) < 2:
        return
    inside = pieces[window] == piece
    y, x = np.nonzero(inside)
    away = []
    for top, left in heads.values():
        below = y + window[0].start - top
        away.append(np.hypot(np.where(below > 0, below / UPRIGHT, below), x + window[1].start - left))
    result[window][inside] = np.array(list(heads), dtype=np.uint8)[np.argmin(away, axis=0)]


def _gaps(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pixels between a box, (2, 2) with start and stop of rows and columns, and others, (n, 2, 2); 0 if they touch or
    overlap."""
    return np.hypot(*np.maximum(0, np.maximum(box[:, 0] - others[..., 1], others[..., 0] - box[:, 1])).T)
