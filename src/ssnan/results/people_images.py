"""Draw who is who: one colour for each person."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.results.colors import DISTINCT
from ssnan.results.render import colors_over

COLORS: NDArray[np.uint8] = np.array(
    [(0, 0, 0), *(DISTINCT[number % len(DISTINCT)] for number in range(255))], dtype=np.uint8
)
"""The colour of each person, (256, 3); black is nobody."""


def people_image(numbers: NDArray[np.uint8]) -> Image.Image:
    """An 8-bit palette image whose indices are the numbers of people (H, W), and 0 for nobody."""
    image = Image.fromarray(numbers)
    image.putpalette(COLORS.tobytes())
    return image


def people_over(rgb: NDArray[np.uint8], numbers: NDArray[np.integer[Any]], opacity: float = 0.65) -> Image.Image:
    """The people over the photo (H, W, 3), each in the colour of the number or track (H, W); nobody is not covered."""
    repeating = np.where(numbers > 0, 1 + (numbers.astype(np.int64) - 1) % (len(COLORS) - 1), 0)
    return colors_over(rgb, people_image(repeating.astype(np.uint8)), opacity)
