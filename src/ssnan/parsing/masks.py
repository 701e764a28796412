"""Label maps as images: read from masks of ids or colours, and written with a palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.errors import quoted
from ssnan.labels import LabelSet
from ssnan.parsing.images import ImageError, explained, opened_image, refuse_if_huge, refuse_unless_regular

STRETCHED = {"'L;2'": 85, "'L;4'": 17}
"""Pillow's factor for grey levels of 2 and 4 bits, by raw mode."""


def read_labels(mask: Path | bytes) -> NDArray[np.uint8]:
    """Read label ids from a mask PNG, uint8 (H, W): palette indices or grey levels.

    Raises:
        ImageError: unreadable, or stored as colours instead of ids.
    """

    def read() -> NDArray[np.uint8]:
        if not isinstance(mask, bytes):
            refuse_unless_regular(mask)
        with opened_image(mask) as opened:
            refuse_if_huge(*opened.size)
            if opened.mode not in ("1", "P", "L") and not opened.mode.startswith("I"):
                raise ImageError(
                    f"expected a mask with one channel (palette or grey) of label ids, got mode {opened.mode}"
                )
            scale = max(
                (factor for bits, factor in STRETCHED.items() if bits in str(getattr(opened, "tile", ""))), default=1
            )
            values = np.array(opened)
            if values.max() > 255 or values.min() < 0:
                raise ImageError(f"expected label ids from 0 to 255, got {values.min()} to {values.max()}")
            return values.astype(np.uint8) // np.uint8(scale)

    return explained("image bytes" if isinstance(mask, bytes) else quoted(mask), read)


def read_colors(path: Path, label_set: LabelSet) -> NDArray[np.uint8] | None:
    """Read the colours of a painted mask, uint8 (H, W, 3); None if the mask has ids. A palette image counts as painted
    if all its used entries are colours of ``label_set``.

    Raises:
        ImageError: as :func:`read_rgb`.
    """

    def read() -> NDArray[np.uint8] | None:
        refuse_unless_regular(path)
        with opened_image(path) as mask:
            refuse_if_huge(*mask.size)
            palette = mask.getpalette("RGB") if mask.mode == "P" else None
            used = [] if palette is None else [i for i, n in enumerate(mask.histogram()) if n]
            entries = [tuple(palette[3 * i : 3 * i + 3]) for i in used] if palette is not None else []
            painted = mask.mode in ("RGB", "RGBA") or (bool(entries) and set(entries) <= set(label_set.palette))
            return np.asarray(mask.convert("RGB")) if painted else None

    colors: NDArray[np.uint8] | None = explained(quoted(path), read)
    return colors


def palette_image(labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """An 8-bit palette image with label ids as indices and the colours of the label set."""
    image = Image.fromarray(labels)
    image.putpalette(label_set.color_table.tobytes())
    return image
