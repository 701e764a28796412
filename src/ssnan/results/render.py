"""Draw results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ssnan.labels import LabelSet
from ssnan.results.result import ParsingResult

SCREEN_SIDE = 1024
"""Longest side, in pixels, of drawings for a screen, such as each panel of a summary."""

LEGEND_ROW = 28
"""Largest height of a row of a legend, in pixels."""

NAMES_SIDE = 512
"""Longest side, in pixels, of the map in which places for names are searched."""


def summary(rgb: NDArray[np.uint8], result: ParsingResult, opacity: float = 0.65) -> Image.Image:
    """The photo, the overlay and the legend side by side.

    Args:
        rgb: the photo, uint8 (H, W, 3), or a smaller version with a longer side of at least ``SCREEN_SIDE``.
        result: its result.
        opacity: opacity of the map over the photo, 0..1; the background is not covered.
    """
    if rgb.shape[:2] != result.labels.shape and max(rgb.shape[:2]) < SCREEN_SIDE:
        raise ValueError(
            f"expected photo and label map of one size, got {rgb.shape[:2]} and {result.labels.shape} (rows, columns)"
        )
    rgb, labels = for_a_screen(rgb, result.labels)
    height, width = labels.shape
    panel = legend(result, height)
    canvas = Image.new("RGB", (2 * width + panel.width, height), "white")
    canvas.paste(Image.fromarray(rgb), (0, 0))
    canvas.paste(map_over(rgb, labels, result.label_set, opacity), (width, 0))
    canvas.paste(panel, (2 * width, 0))
    return canvas


def for_a_screen(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The photo (h, w, 3) and its map (h, w), reduced to a longer side of at most ``SCREEN_SIDE``."""
    photo = Image.fromarray(rgb)
    photo.thumbnail((SCREEN_SIDE, SCREEN_SIDE))
    return np.asarray(photo), np.asarray(Image.fromarray(labels).resize(photo.size, Image.Resampling.NEAREST))


def legend(result: ParsingResult, height: int) -> Image.Image:
    """Colour, name and share of every part in the photo, largest first, in a column of ``height`` pixels."""
    background = result.label_set.classes[0]
    parts = sorted((area, name) for name, area in result.areas.items() if name != background)[::-1]
    row = max(8, min(LEGEND_ROW, height // max(1, len(parts))))
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


def map_over(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], label_set: LabelSet, opacity: float = 0.65
) -> Image.Image:
    """The label map over the photo, at the photo's size; the background is not covered."""
    share = np.where(labels > 0, opacity, 0.0)[..., None]
    blend = rgb * (1 - share) + label_set.color_table[labels] * share
    return Image.fromarray(blend.round().astype(np.uint8))


def with_contours(picture: Image.Image, labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """Draw the edges of the parts in their colours, or in white next to the background."""
    width = 2 * max(1, round(max(labels.shape) / 600)) + 1
    ids = Image.fromarray(labels)
    inner = np.asarray(ids.filter(ImageFilter.MinFilter(width))) != np.asarray(ids.filter(ImageFilter.MaxFilter(width)))
    pixels = np.asarray(picture).copy()
    lines = inner & (labels > 0)
    pixels[lines] = label_set.color_table[labels[lines]]
    pixels[inner & (labels == 0)] = 255
    return Image.fromarray(pixels)


def with_names(picture: Image.Image, result: ParsingResult) -> Image.Image:
    """Write the name of every part at the thickest place of its largest region, largest part first."""
    from scipy import ndimage

    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    small = Image.fromarray(result.labels)
    small.thumbnail((NAMES_SIDE, NAMES_SIDE), Image.Resampling.NEAREST)
    labels = np.asarray(small)
    factor = picture.width / small.width
    size = max(10.0, max(picture.size) / 45)
    font = ImageFont.load_default(size=size)
    for class_id in np.argsort(-np.bincount(labels.ravel(), minlength=len(result.label_set)), kind="stable"):
        pieces, count = ndimage.label(labels == class_id)
        if class_id == 0 or not count:
            continue
        largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        name = result.label_set.classes[class_id]
        room = min(picture.width / 2, font.getlength(name) / 2 + size / 4)
        x = min(max((column + 0.5) * factor, room), picture.width - room)
        place = (x, (row + 0.5) * factor)
        draw.text(place, name, fill="white", font=font, anchor="mm", stroke_width=round(size / 7), stroke_fill="black")
    return picture


def joints_over(rgb: NDArray[np.uint8], structures: Sequence[ParsingResult]) -> Image.Image:
    """Draw the joints (Section 3.3, Figure 3) of one or more maps over their photo, as discs with lines to the joint
    ``upper-body``. The first map is white, the others have colours of the label set."""
    picture = Image.fromarray(rgb).convert("RGB")
    draw = ImageDraw.Draw(picture)
    radius = max(3, max(rgb.shape[:2]) // 90)
    for index, structure in enumerate(structures):
        palette = structure.label_set.palette
        centre = structure.joints.get("upper-body")
        for region, point in zip(structure.label_set.regions, structure.joints.values(), strict=True):
            if point is None:
                continue
            x, y = point
            color = (255, 255, 255) if index == 0 else palette[region.class_ids[0]]
            if centre is not None:
                draw.line((*centre, x, y), fill=color, width=max(1, radius // 2))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline="black")
    return picture


def heatmap(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """Values 0..1, (h, w), as an image of ``size`` (width, height): dark blue is 0, yellow is 1."""
    stops = np.array([(13, 8, 80), (126, 3, 168), (204, 71, 120), (248, 149, 64), (240, 249, 33)], dtype=float)
    place = np.clip(values, 0, 1) * (len(stops) - 1)
    colors = np.stack([np.interp(place, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], axis=2)
    return Image.fromarray(colors.round().astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def grid(rows: Sequence[Sequence[Image.Image]], heads: Sequence[str], height: int = 320) -> Image.Image:
    """Images in rows of ``height`` pixels below the ``heads`` of their columns."""
    rows = [[cell.resize((max(1, round(cell.width * height / cell.height)), height)) for cell in row] for row in rows]
    font = ImageFont.load_default(size=16)
    widths = [
        max(*(row[column].width for row in rows), round(font.getlength(head)) + 8) for column, head in enumerate(heads)
    ]
    bar, gap = 26, 4
    canvas = Image.new("RGB", (sum(widths) + gap * (len(widths) - 1), bar + (height + gap) * len(rows) - gap), "white")
    draw = ImageDraw.Draw(canvas)
    for column, head in enumerate(heads):
        left = sum(widths[:column]) + gap * column
        draw.text((left + widths[column] / 2, bar / 2), head, fill="black", font=font, anchor="mm")
        for number, row in enumerate(rows):
            canvas.paste(row[column], (left + (widths[column] - row[column].width) // 2, bar + (height + gap) * number))
    return canvas


def confidence_image(result: ParsingResult) -> Image.Image:
    """The confidence as grey levels: 255 is certain."""
    return Image.fromarray((result.confidence * 255).round().astype(np.uint8))
