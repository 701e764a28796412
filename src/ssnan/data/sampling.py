"""Sampling that draws photos with rare classes more often."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from ssnan.data.folder import ParsingFolder


def classes_held(folder: ParsingFolder) -> Bool[np.ndarray, "n c"]:
    """Whether the mask of each photo has each class.

    Raises:
        ImageError, DatasetError: a mask cannot be read.
    """
    count = len(folder.label_set)
    counts = [np.bincount(folder.read_mask(pair.mask).ravel(), minlength=256)[:count] for pair in folder.pairs]
    return np.array(counts) > 0


def repeat_factors(held: Bool[np.ndarray, "n c"], threshold: float) -> Float[np.ndarray, " n"]:
    """How often to draw each photo, relative to one without rare classes: √(threshold / share of the photos with its
    rarest class), at least 1 ("repeat factor sampling" of Gupta, Dollár and Girshick, LVIS, CVPR 2019,
    https://arxiv.org/abs/1908.03195)."""
    share = held.mean(axis=0)
    of_class = np.sqrt(np.maximum(1, threshold / np.where(share > 0, share, 1)))
    return np.where(held, of_class, 1).max(axis=1)
