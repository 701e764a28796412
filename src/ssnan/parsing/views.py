"""Test-time augmentation: average several sizes of a photo and its mirror image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ssnan.labels import LabelSet
from ssnan.parsing.engines import Engine
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.scores.softmax import logarithms, softmax
from ssnan.scores.upsampling import resized
from ssnan.scores.windows import in_windows

Scores = NDArray[np.float32]


LARGEST = 4
"""The largest scale of a view."""


@dataclass(frozen=True)
class Views:
    """The versions of a photo whose probabilities are averaged; by default, only the photo itself.

    Attributes:
        scales: sizes relative to the model's input size.
        mirror: also parse the mirror image of each. A mirrored left arm looks like a right arm, so the channels of
            flip pairs are swapped back.

    Raises:
        ValueError: there is no scale, or a scale is not in 0..:data:`LARGEST`.
    """

    scales: tuple[float, ...] = (1.0,)
    mirror: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= LARGEST for scale in self.scales):
            raise ValueError(f"scales: expected factors above 0 and at most {LARGEST}, got {list(self.scales)}")

    def scores(
        self,
        rgb: NDArray[np.uint8],
        engine: Engine,
        label_set: LabelSet,
        preprocessing: Preprocessing,
        usual: Scores | None = None,
    ) -> Scores:
        """Class scores (C, h, w) of a photo (H, W, 3) at the stride of the largest view: the network's scores for one
        view, log mean probabilities for several.

        Args:
            usual: the network's scores of the photo at its usual size, if the network has seen it already.
        """
        views = list(self._each(rgb, engine, label_set, preprocessing, usual))
        if len(views) == 1:
            return views[0]
        height, width = max((view.shape[1:] for view in views), key=np.prod)
        probabilities = [softmax(resized(view, height, width)) for view in views]
        return logarithms(np.mean(probabilities, axis=0))

    def _each(
        self,
        rgb: NDArray[np.uint8],
        engine: Engine,
        label_set: LabelSet,
        preprocessing: Preprocessing,
        usual: Scores | None,
    ) -> Iterator[Scores]:
        def plain(part: NDArray[np.uint8], scale: float) -> Scores:
            return engine(preprocessing(part, scale)[None])[0]

        def mirrored(part: NDArray[np.uint8], scale: float) -> Scores:
            scores = engine(np.ascontiguousarray(preprocessing(part, scale)[None, :, :, ::-1]))[0]
            return np.ascontiguousarray(scores[label_set.flip_permutation, :, ::-1])

        for scale in self.scales:
            yield usual if usual is not None and scale == 1 else in_windows(rgb, partial(plain, scale=scale))
            if self.mirror:
                yield in_windows(rgb, partial(mirrored, scale=scale))
