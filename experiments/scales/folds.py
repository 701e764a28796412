"""Three folds over all photos of a dataset, and where a rate is chosen inside them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssnan.data.datamodule import ParsingData
from ssnan.data.folder import ParsingFolder
from ssnan.data.layouts import open_split

FOLDS = 3
HELD_OUT = 5
"""A fifth of a fold's training photos chooses the rate."""


def whole(root: Path) -> ParsingFolder:
    """The photos of both lists, in the order of their numbers: similar photos often have close numbers."""
    train, val = (open_split(root, split) for split in ("train", "val"))
    pairs = sorted((*train.pairs, *val.pairs), key=lambda pair: [int(part) for part in re.findall(r"\d+", pair.id)])
    return replace(train, pairs=tuple(pairs), keypoints={**train.keypoints, **val.keypoints})


def fold_of(count: int) -> NDArray[np.int64]:
    """The fold of each of ``count`` photos: thirds in their order, so that similar photos stay together."""
    return np.arange(count) * FOLDS // count


def photos_of_fold(count: int, fold: int) -> NDArray[np.int64]:
    """The photos that a fold measures."""
    return np.flatnonzero(fold_of(count) == fold)


def held_out(count: int, fold: int) -> NDArray[np.int64]:
    """The training photos that choose the rates of a fold: the last fifth of them, in their order."""
    training = np.flatnonzero(fold_of(count) != fold)
    return training[len(training) - len(training) // HELD_OUT :]


def train_without(data: ParsingData, photos: NDArray[np.int64]) -> None:
    """From now on, draw none of these photos of the first source. The photos in memory stay where they are.

    Args:
        data: after ``setup("fit")``, its first source a whole dataset.
    """
    chances = np.ones(len(data.train_folders[0]))
    chances[photos] = 0
    data.chances[0] = chances
