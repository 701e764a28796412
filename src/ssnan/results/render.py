"""Draw label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ssnan.io.masks import palette_image
from ssnan.labels import LabelSet

SCREEN_SIDE = 1024
"""Longest side, in pixels, of drawings for a screen, such as each panel of a summary."""

LEGEND_ROW, LEAST_ROW = 28, 12
"""Largest and smallest height of a row of a legend, in pixels. Smaller letters could hardly be read."""

NAMES_SIDE = 512
"""Longest side, in pixels, of the map in which places for names are searched."""


def for_a_screen(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The photo (h, w, 3) and its map (h, w), reduced to a longer side of at most ``SCREEN_SIDE``."""
    photo = Image.fromarray(rgb)
    photo.thumbnail((SCREEN_SIDE, SCREEN_SIDE))
    return np.asarray(photo), np.asarray(Image.fromarray(labels).resize(photo.size, Image.Resampling.NEAREST))


def legend(areas: Mapping[str, int], pixels: int, label_set: LabelSet, height: int | None = None) -> Image.Image:
    """Colour, name and share of every part in the photo, largest first, in a column.

    Args:
        areas: pixels of every class that occurs.
        pixels: pixels of the photo.
        label_set: the label set of the classes.
        height: the least height of the column in pixels; if None, that of its rows.
    """
    parts = sorted((area, name) for name, area in areas.items() if name != label_set.classes[0])[::-1]
    row = LEGEND_ROW if height is None else max(LEAST_ROW, min(LEGEND_ROW, height // max(1, len(parts))))
    font = ImageFont.load_default(size=row * 0.6)
    shares = [(name, area / pixels) for area, name in parts]
    lines = [f"{name}  {share:.1%}" if share >= 0.001 else f"{name}  <0.1%" for name, share in shares] or [
        "nobody found"
    ]
    width = int(row * 1.6 + max(font.getlength(line) for line in lines) + row * 0.6)
    panel = Image.new("RGB", (width, max(height or 0, row * len(lines))), "white")
    draw = ImageDraw.Draw(panel)
    for index, line in enumerate(lines):
        top = index * row
        if parts:
            color = label_set.palette[label_set.classes.index(parts[index][1])]
            draw.rectangle((row * 0.4, top + row * 0.15, row * 1.2, top + row * 0.85), fill=color, outline="black")
        draw.text((row * 1.5, top + row * 0.5), line, fill="black", font=font, anchor="lm")
    return panel


def map_over(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], label_set: LabelSet, opacity: float = 0.65
) -> Image.Image:
    """The label map over the photo, at the photo's size; the background is not covered."""
    return colors_over(rgb, palette_image(labels, label_set), opacity)


def colors_over(rgb: NDArray[np.uint8], drawing: Image.Image, opacity: float) -> Image.Image:
    """A palette image over the photo (H, W, 3) of its size; index 0 is not covered."""
    # In 8 bits, because floats take several times the memory of the photo.
    photo = Image.fromarray(rgb)
    blend = Image.blend(photo, drawing.convert("RGB"), opacity)
    blend.paste(photo, mask=Image.fromarray(np.asarray(drawing) == 0))
    return blend


def with_contours(image: Image.Image, labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """Draw the edges of the parts in their colours, or in white next to the background."""
    width = 2 * max(1, round(max(labels.shape) / 600)) + 1
    ids = Image.fromarray(labels)
    inner = np.asarray(ids.filter(ImageFilter.MinFilter(width))) != np.asarray(ids.filter(ImageFilter.MaxFilter(width)))
    pixels = np.asarray(image).copy()
    lines = inner & (labels > 0)
    pixels[lines] = label_set.color_table[labels[lines]]
    pixels[inner & (labels == 0)] = 255
    return Image.fromarray(pixels)


def with_names(image: Image.Image, labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """Write the name of every part at the thickest place of its largest region, largest part first."""
    from scipy import ndimage

    image = image.copy()
    draw = ImageDraw.Draw(image)
    small = Image.fromarray(labels)
    small.thumbnail((NAMES_SIDE, NAMES_SIDE), Image.Resampling.NEAREST)
    labels = np.asarray(small)
    factor = max(image.size) / max(small.size)  # the shorter side is rounded, to 1 for a thin photo
    size = max(10.0, max(image.size) / 45)
    font = ImageFont.load_default(size=size)
    areas = np.bincount(labels.ravel(), minlength=256)[: len(label_set)]  # other values have no name
    for class_id in np.argsort(-areas, kind="stable"):
        pieces, count = ndimage.label(labels == class_id)
        if class_id == 0 or not count:
            continue
        largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        name = label_set.classes[class_id]
        room = min(image.width / 2, font.getlength(name) / 2 + size / 4)
        x = min(max((column + 0.5) * factor, room), image.width - room)
        place = (x, (row + 0.5) * factor)
        draw.text(place, name, fill="white", font=font, anchor="mm", stroke_width=round(size / 7), stroke_fill="black")
    return image


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
