"""Images of whole results: the summary, the joints, the confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ssnan.results.render import SCREEN_SIDE, for_a_screen, legend, map_over
from ssnan.results.result import ParsingResult


def summary(rgb: NDArray[np.uint8], result: ParsingResult) -> Image.Image:
    """The photo, the overlay and the legend side by side. A legend higher than the photo adds white below it.

    Args:
        rgb: the photo, uint8 (H, W, 3), or a smaller version with a longer side of at least ``SCREEN_SIDE``.
        result: its result.

    Raises:
        ValueError: ``rgb`` has another size than the result and a longer side below ``SCREEN_SIDE``, 1024.
    """
    if rgb.shape[:2] != result.labels.shape and max(rgb.shape[:2]) < SCREEN_SIDE:
        raise ValueError(
            f"expected photo and label map of one size, got {rgb.shape[:2]} and {result.labels.shape} (rows, columns)"
        )
    rgb, labels = for_a_screen(rgb, result.labels)
    height, width = labels.shape
    panel = legend(result.areas, result.labels.size, result.label_set, height)
    canvas = Image.new("RGB", (2 * width + panel.width, panel.height), "white")
    canvas.paste(Image.fromarray(rgb), (0, 0))
    canvas.paste(map_over(rgb, labels, result.label_set), (width, 0))
    canvas.paste(panel, (2 * width, 0))
    return canvas


def joints_over(rgb: NDArray[np.uint8], structures: Sequence[ParsingResult]) -> Image.Image:
    """Draw the joints (Section 3.3, Figure 3) of one or more maps over their photo, as discs with lines to the joint
    ``upper-body``. The first map is white, the others have colours of the label set."""
    image = Image.fromarray(rgb).convert("RGB")
    draw = ImageDraw.Draw(image)
    radius = max(3, max(rgb.shape[:2]) // 90)
    for index, structure in enumerate(structures):
        palette = structure.label_set.palette
        trunk = structure.joints.get("upper-body")
        for region, point in zip(structure.label_set.regions, structure.joints.values(), strict=True):
            if point is None:
                continue
            x, y = point
            color = (255, 255, 255) if index == 0 else palette[region.class_ids[0]]
            if trunk is not None:
                draw.line((*trunk, x, y), fill=color, width=max(1, radius // 2))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline="black")
    return image


def confidence_image(result: ParsingResult) -> Image.Image:
    """The confidence as grey levels: 255 is certain."""
    return Image.fromarray((result.confidence * 255).round().astype(np.uint8))
