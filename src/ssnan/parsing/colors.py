"""Colours: as people write them, and ones for eyes where a label set's own are for programs."""

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
"""19 colours, none darker than L* = 38, any two at least 20 apart in CIELAB as normal, red-blind and green-blind eyes
see them (Machado et al., 2009). LIP's own come as near as 2.6."""


def rgb_of(color: Any) -> RGB:
    """A colour as somebody writes it: a name, ``#rrggbb``, or three levels.

    Raises:
        ValueError, TypeError: it is none.
    """
    if isinstance(color, str):
        return ImageColor.getrgb(color)[:3]
    red, green, blue = (int(value) for value in color)
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise ValueError(f"expected three levels of 0..255, got {color!r}")
    return red, green, blue


def distinct(label_set: LabelSet) -> LabelSet:
    """The label set in ``DISTINCT`` colours, from the second class on; beyond 19 they begin again."""
    colors = (DISTINCT[i % len(DISTINCT)] for i in range(len(label_set) - 1))
    return replace(label_set, palette=(label_set.palette[0], *colors))
