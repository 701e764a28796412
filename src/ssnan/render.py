"""Pictures of results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ssnan.result import ParsingResult

OVERLAY_SIDE = 1024
"""Longest side of each panel of an overlay, in pixels."""


def overlay(rgb: NDArray[np.uint8], result: ParsingResult, opacity: float = 0.65) -> Image.Image:
    """The photo, the photo under its map, and a legend of the parts present, side by side.

    Args:
        rgb: the photo, uint8 (H, W, 3).
        result: its parsing map, of the same size.
        opacity: of the map over the photo, 0..1; the background stays clear.
    """
    if rgb.shape[:2] != result.labels.shape:
        raise ValueError(f"photo is {rgb.shape[:2]} (rows, columns), its map {result.labels.shape}")
    photo = Image.fromarray(rgb)
    photo.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    labels = np.asarray(Image.fromarray(result.labels).resize(photo.size, Image.Resampling.NEAREST))
    share = np.where(labels > 0, opacity, 0.0)[..., None]
    blend = np.asarray(photo) * (1 - share) + result.label_set.color_table[labels] * share
    panel = legend(result, photo.height)
    canvas = Image.new("RGB", (2 * photo.width + panel.width, photo.height), "white")
    canvas.paste(photo, (0, 0))
    canvas.paste(Image.fromarray(blend.round().astype(np.uint8)), (photo.width, 0))
    canvas.paste(panel, (2 * photo.width, 0))
    return canvas


def legend(result: ParsingResult, height: int) -> Image.Image:
    """Colour, name and share of every part present, largest first, in a column ``height`` high."""
    background = result.label_set.classes[0]
    parts = sorted((area, name) for name, area in result.areas.items() if name != background)[::-1]
    row = max(8, min(28, height // max(1, len(parts))))
    font = ImageFont.load_default(size=row * 0.6)
    shares = [(name, area / result.labels.size) for area, name in parts]
    lines = [f"{name}  {share:.1%}" if share >= 0.001 else f"{name}  <0.1%" for name, share in shares] or [
        "nobody found"
    ]
    width = int(row * 1.6 + max(font.getlength(line) for line in lines) + row * 0.6)
    panel = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(panel)
    for index, line in enumerate(lines):
        top = index * row
        if parts:
            color = result.label_set.palette[result.label_set.classes.index(parts[index][1])]
            draw.rectangle((row * 0.4, top + row * 0.15, row * 1.2, top + row * 0.85), fill=color, outline="black")
        draw.text((row * 1.5, top + row * 0.5), line, fill="black", font=font, anchor="lm")
    return panel


def confidence_image(result: ParsingResult) -> Image.Image:
    """The confidence as grey levels: 255 is certain."""
    return Image.fromarray((result.confidence * 255).round().astype(np.uint8))
