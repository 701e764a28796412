"""Sampling that draws photos with rare classes more often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from ssnan.data.folder import DatasetError, Pair, ParsingFolder
from ssnan.io.opening import ImageError


def pixels_held(folder: ParsingFolder, pairs: Sequence[Pair], damaged: Literal["stop", "skip"]) -> NDArray[np.int64]:
    """The number of pixels of every class in each mask, (n, C).

    Args:
        damaged: whether a mask that cannot be read stops, or has no pixels.

    Raises:
        ImageError, DatasetError: a mask cannot be read, and ``damaged`` is ``stop``.
    """
    counts = np.zeros((len(pairs), len(folder.label_set)), dtype=np.int64)
    for own, pair in zip(counts, pairs, strict=True):
        try:
            own[:] = np.bincount(folder.read_mask(pair.mask).ravel(), minlength=256)[: len(own)]
        except (ImageError, DatasetError):
            if damaged == "stop":
                raise
    return counts


def classes_held(folder: ParsingFolder, damaged: Literal["stop", "skip"] = "stop") -> Bool[np.ndarray, "n c"]:
    """Whether the mask of each photo has each class; see :func:`pixels_held`."""
    return pixels_held(folder, folder.pairs, damaged) > 0


def repeat_factors(held: Bool[np.ndarray, "n c"], threshold: float) -> Float[np.ndarray, " n"]:
    """How often to draw each photo, relative to one without rare classes: √(threshold / share of the photos with its
    rarest class), at least 1 ("repeat factor sampling" of Gupta, Dollár and Girshick, LVIS, CVPR 2019,
    https://arxiv.org/abs/1908.03195)."""
    share = held.mean(axis=0)
    of_class = np.sqrt(np.maximum(1, threshold / np.where(share > 0, share, 1)))
    return np.where(held, of_class, 1).max(axis=1)
