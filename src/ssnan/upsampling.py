"""From scores at the network's stride to decisions at the picture's own size.

Scores are upsampled before the argmax, never labels after it. Rows are handled in strips, so that
memory does not grow with classes times pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRIP_PIXELS = 1 << 20


def labels_at(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Class with the highest score at every pixel, (height, width), for scores (C, h, w)."""
    labels = np.zeros((height, width), dtype=np.uint8)
    for top, bottom in _strips(height, width):
        strip = labels[top:bottom]
        best = _rows(scores[0], top, bottom, height, width).copy()
        for class_id in range(1, len(scores)):
            candidate = _rows(scores[class_id], top, bottom, height, width)
            strip[candidate > best] = class_id
            np.maximum(best, candidate, out=best)
    return labels


def confidence_at(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Softmax probability of the winning class at every pixel, 0..1, for scores (C, h, w)."""
    confidence = np.empty((height, width), dtype=np.float32)
    for top, bottom in _strips(height, width):
        maps = (_rows(channel, top, bottom, height, width) for channel in scores)
        best = np.full((bottom - top, width), -np.inf, dtype=np.float32)
        total = np.zeros_like(best)
        for candidate in maps:
            higher = np.maximum(best, candidate)
            total = total * np.exp(best - higher) + np.exp(candidate - higher)
            best = higher
        confidence[top:bottom] = 1 / total
    return confidence


def resized(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """All of scores (C, h, w) at (C, height, width), for small maps: nothing is done in strips."""
    if scores.shape[1:] == (height, width):
        return scores
    return np.stack([_rows(channel, 0, height, height, width) for channel in scores])


def _strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    rows = max(1, STRIP_PIXELS // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def _rows(channel: NDArray[np.float32], top: int, bottom: int, height: int, width: int) -> NDArray[np.float32]:
    """Rows ``top:bottom`` of ``channel`` resized bilinearly to (height, width), corners aligned."""
    h, w = channel.shape
    # Corners aligned: pixel 0 lies on feature 0, the last pixel on the last feature. Pillow puts the
    # centre of item i at i + ½.
    y, x = (h - 1) / max(height - 1, 1), (w - 1) / max(width - 1, 1)
    # Of a picture smaller than its map the box would reach half a pixel beyond the map.
    left, right = max(0.0, 0.5 - x / 2), min(float(w), 0.5 + (width - 0.5) * x)
    box = (left, max(0.0, 0.5 + (top - 0.5) * y), right, min(float(h), 0.5 + (bottom - 0.5) * y))
    return np.asarray(Image.fromarray(channel).resize((width, bottom - top), Image.Resampling.BILINEAR, box))
