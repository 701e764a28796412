"""Colours: parse them, and replace those of a label set by distinct ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PIL import ImageColor

from ssnan.labels import RGB, LabelSet

DISTINCT: tuple[RGB, ...] = (
    (204, 136, 0), (136, 102, 85), (170, 187, 136), (255, 255, 221), (102, 17, 255), (255, 255, 0), (136, 153, 255),
    (102, 85, 102), (255, 187, 34), (170, 119, 68), (238, 255, 170), (204, 187, 255), (221, 187, 102),
    (221, 238, 255), (102, 85, 187), (170, 170, 170), (153, 85, 255), (255, 255, 119), (119, 119, 170),
)  # fmt: skip
"""19 colours with L* of 38 or more. Any two differ by at least 20 in CIELAB for normal, red-blind and green-blind
vision (Machado et al., 2009). Those of LIP differ by as little as 2.6."""


def rgb_of(color: Any) -> RGB:
    """Parse a colour: a name, ``#rrggbb``, or three integers in 0..255.

    Raises:
        ValueError, TypeError: it is not a colour.
    """
    if isinstance(color, str):
        return ImageColor.getrgb(color)[:3]
    red, green, blue = color
    if not all(isinstance(level, int) and 0 <= level <= 255 for level in (red, green, blue)):
        raise ValueError(f"expected three integers in 0..255, got {color!r}")
    return red, green, blue


def distinct(label_set: LabelSet) -> LabelSet:
    """The label set with ``DISTINCT`` colours from the second class on; the colours repeat after 19."""
    colors = (DISTINCT[i % len(DISTINCT)] for i in range(len(label_set) - 1))
    return replace(label_set, palette=(label_set.palette[0], *colors))
