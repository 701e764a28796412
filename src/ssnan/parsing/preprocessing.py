"""From RGB pixels to the input of a network; every model card contains it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MIN_SIDE = 33
"""The least side of the input, so that the coarsest scale has a few features."""


LONGEST = 16_384
"""The largest ``longest_side``."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize, scale to 0..1, normalise.

    Attributes:
        mean: mean of RGB in 0..1, which is subtracted.
        std: standard deviation of RGB in 0..1, by which the rest is divided.
        longest_side: pixels of the longer side of the network's input; the shorter side keeps the photo's
            proportions. None keeps the photo's size.
        multiple: sides are rounded to a multiple of this plus one. The network's stride divided by the scales' common
            denominator (8 / ¼ = 32) aligns the features of all scales, so that the map does not shift.

    Raises:
        ValueError: a value is invalid.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    longest_side: int | None = None
    multiple: int = 32

    def __post_init__(self) -> None:
        for name, three in (("mean", self.mean), ("std", self.std)):
            if len(three) != 3 or not all(isinstance(value, int | float) and math.isfinite(value) for value in three):
                raise ValueError(f"preprocessing: {name}: expected three numbers, got {three}")
        if min(self.std) <= 0:
            raise ValueError(f"preprocessing: std: expected positive numbers, got {self.std}")
        for name, side in (("longest_side", self.longest_side), ("multiple", self.multiple)):
            whole = isinstance(side, int) and 1 <= side <= LONGEST
            if not whole and not (side is None and name == "longest_side"):
                raise ValueError(f"preprocessing: {name}: expected an integer from 1 to {LONGEST}, got {side!r}")

    def size(self, height: int, width: int, scale: float = 1.0) -> tuple[int, int]:
        """Height and width of the network's input for a photo of ``height`` × ``width``, ``scale`` times as large as
        usual."""
        factor = scale if self.longest_side is None else scale * self.longest_side / max(height, width)
        rows, columns = (
            max(MIN_SIDE, round((side * factor - 1) / self.multiple) * self.multiple + 1) for side in (height, width)
        )
        return rows, columns

    def __call__(self, rgb: NDArray[np.uint8], scale: float = 1.0) -> NDArray[np.float32]:
        """From uint8 RGB (H, W, 3) to float32 (3, h, w), ``scale`` times as large as usual."""
        height, width = self.size(rgb.shape[0], rgb.shape[1], scale)
        if (height, width) != rgb.shape[:2]:
            # Pillow's bilinear filter averages over the source pixels when it shrinks.
            rgb = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
        mean, std = (np.array(three, dtype=np.float32)[:, None, None] for three in (self.mean, self.std))
        # Write each colour at its place at once: to reorder the result takes longer than the arithmetic.
        pixels = np.empty((3, height, width), dtype=np.float32)
        np.multiply(rgb.transpose(2, 0, 1), 1 / (255 * std), out=pixels)
        pixels -= mean / std
        return pixels
