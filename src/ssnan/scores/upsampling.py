"""From scores at the network's stride to labels at the photo's size.

Scores are upsampled before the argmax. Photos are processed in tiles or strips, so that memory does not grow with
classes times pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 128
"""Pixels of the side of a tile: small, so that few classes can win in it."""

STRIP_PIXELS = 1 << 13
"""Pixels of a strip: few, so that the cache of a core holds the scores of all classes."""

STRIP_WIDTH = 1 << 11
"""The greatest width of a strip. Every row of the map is in memory at this width, for all classes."""


def labels_at(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """The class with the highest score at every pixel, uint8 (height, width), for scores (C, h, w).

    A class is upsampled only in tiles where it can win, which for most classes is a small part of the photo.
    """
    labels = np.zeros((height, width), dtype=np.uint8)
    can_win = _can_win(scores)
    if height < scores.shape[1] or width < scores.shape[2]:
        can_win[:] = True  # when shrinking, a pixel is a mean over cells
    for rows, columns in product(_spans(height, TILE), _spans(width, TILE)):
        cells = can_win[:, _cells(*rows, height, can_win.shape[1]), _cells(*columns, width, can_win.shape[2])]
        first, *others = np.flatnonzero(cells.any(axis=(1, 2)))
        tile = labels[slice(*rows), slice(*columns)]
        tile[:] = first
        if not others:
            continue
        best = _window(scores[first], rows, columns, height, width)
        for class_id in others:
            candidate = _window(scores[class_id], rows, columns, height, width)
            np.copyto(tile, np.uint8(class_id), where=candidate > best)
            best = np.maximum(best, candidate)
    return labels


def _can_win(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The cells (C, h - 1, w - 1) between four features in which a class can have the highest score: its best corner
    reaches the worst corner of every other class."""
    for axis in (1, 2):
        if scores.shape[axis] == 1:
            scores = np.repeat(scores, 2, axis=axis)
    upper, lower = scores[:, :-1], scores[:, 1:]
    worst, best = np.minimum(upper, lower), np.maximum(upper, lower)
    worst, best = np.minimum(worst[..., :-1], worst[..., 1:]), np.maximum(best[..., :-1], best[..., 1:])
    return best >= worst.max(axis=0)


def _cells(first: int, end: int, pixels: int, count: int) -> slice:
    """The rows (or columns) of cells, out of ``count``, that contain the rows ``first:end`` out of ``pixels``."""
    step = count / max(pixels - 1, 1)
    from_cell = min(math.floor(first * step), count - 1)
    return slice(from_cell, max(math.ceil((end - 1) * step), from_cell + 1))


def confidence_at(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The softmax probability of the winning class at every pixel, float32 (height, width), 0..1, for scores (C, h,
    w)."""
    return _in_strips(lambda strip: 1 / _shares(strip).sum(axis=0), scores, height, width)


def probability_at(
    scores: NDArray[np.float32], class_ids: Sequence[int], height: int, width: int
) -> NDArray[np.float32]:
    """The softmax probability of ``class_ids`` together at every pixel, float32 (height, width), 0..1."""

    def share(strip: NDArray[np.float32]) -> NDArray[np.float32]:
        shares = _shares(strip)
        return shares[list(class_ids)].sum(axis=0) / shares.sum(axis=0)

    return _in_strips(share, scores, height, width)


def _shares(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities divided by that of the winning class, in place, because allocation costs more than arithmetic."""
    strip -= strip.max(axis=0)
    return np.exp(strip, out=strip)


def _in_strips(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    scores: NDArray[np.float32],
    height: int,
    width: int,
) -> NDArray[np.float32]:
    """Apply ``function`` to the scores (C, rows, columns) of every strip; it may overwrite them."""
    cells = min(height, scores.shape[1])
    places = np.linspace(0, cells - 1, height)
    result = np.empty((height, width), dtype=np.float32)
    for left, right in _spans(width, STRIP_WIDTH):
        wide = np.stack([_window(channel, (0, cells), (left, right), cells, width) for channel in scores])
        step = np.diff(wide, axis=1, append=wide[:, -1:])
        for top, bottom in _spans(height, max(1, STRIP_PIXELS // (right - left))):
            above = places[top:bottom].astype(np.intp)
            strip = step[:, above]
            strip *= (places[top:bottom] - above).astype(np.float32)[:, None]
            strip += wide[:, above]
            result[top:bottom, left:right] = function(strip)
    return result


def resized(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize scores (C, h, w) to (C, height, width) without strips, for small maps."""
    if scores.shape[1:] == (height, width):
        return scores
    return np.stack([_window(channel, (0, height), (0, width), height, width) for channel in scores])


def _spans(pixels: int, length: int) -> list[tuple[int, int]]:
    """First and last + 1 of the rows (or columns) of each tile of this length."""
    return [(first, min(first + length, pixels)) for first in range(0, pixels, length)]


def _window(
    channel: NDArray[np.float32], rows: tuple[int, int], columns: tuple[int, int], height: int, width: int
) -> NDArray[np.float32]:
    """The pixels ``rows`` and ``columns`` of ``channel`` resized bilinearly to (height, width) with aligned corners."""
    top, bottom = _span(*rows, height, channel.shape[0])
    left, right = _span(*columns, width, channel.shape[1])
    size = (columns[1] - columns[0], rows[1] - rows[0])
    return np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR, (left, top, right, bottom)))


def _span(first: int, end: int, pixels: int, features: int) -> tuple[float, float]:
    """The position of the pixels ``first:end`` of ``pixels`` on ``features``. With aligned corners, pixel 0 is on
    feature 0 and the last pixel on the last feature. Pillow's centre of item i is i + ½."""
    step = (features - 1) / max(pixels - 1, 1)
    # If the photo is smaller than its map, the box would reach half a pixel beyond the map.
    return max(0.0, 0.5 + (first - 0.5) * step), min(float(features), 0.5 + (end - 0.5) * step)
