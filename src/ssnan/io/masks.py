"""Label maps as images: read from masks of ids or colours, and written with a palette."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssnan.errors import quoted
from ssnan.io.opening import (
    MAX_PIXELS,
    ImageError,
    explained,
    opened_image,
    refuse_several,
    refuse_unless_regular,
    refuse_unusable,
)
from ssnan.io.pixels import stretch_of, upright
from ssnan.labels import LabelSet


def read_labels(mask: Path | bytes, label_set: LabelSet | None = None) -> NDArray[np.uint8]:
    """Read label ids from a mask PNG, uint8 (H, W), in its EXIF orientation: palette indices or grey levels. With a
    label set, a palette whose used entries are all colours of its classes is read by colour, in any order.

    Raises:
        ImageError: unreadable, several images in one file, stored as colours instead of ids, or in a format that
            changes ids: JPEG, PGM and PBM; or a palette with the colours of classes in another order, and one of no
            class or of several, or with the ids as its grey levels.
    """

    def read() -> NDArray[np.uint8]:
        if not isinstance(mask, bytes):
            refuse_unless_regular(mask)
        with opened_image(mask) as opened:
            refuse_unusable(opened, MAX_PIXELS)
            refuse_several(opened, mask)
            if opened.format in ("JPEG", "MPO"):
                raise ImageError("expected a mask as PNG, got JPEG, which blends label ids")
            if opened.format == "PPM":  # Pillow stretches values to 0..255, and inverts bits
                raise ImageError("expected a mask as PNG, got PGM or PBM, whose values would change")
            if opened.mode not in ("1", "P", "L") and not opened.mode.startswith("I"):
                raise ImageError(
                    f"expected a mask with one channel (palette or grey) of label ids, got mode {opened.mode}"
                )
            scale = stretch_of(opened)
            values = np.array(upright(opened))
            if values.max() > 255 or values.min() < 0:
                raise ImageError(f"expected label ids from 0 to 255, got {values.min()} to {values.max()}")
            ids = values.astype(np.uint8) // np.uint8(scale)
            return ids if label_set is None or opened.mode != "P" else _meanings(opened, label_set)[ids]

    return explained("image bytes" if isinstance(mask, bytes) else quoted(mask), read)


def _meanings(mask: Image.Image, label_set: LabelSet) -> NDArray[np.uint8]:
    """The label id of each index of a palette, (256,)."""
    palette = mask.getpalette("RGB") or []
    apart = {label_set.ignore_index, *(class_set.value for class_set in label_set.sets)}
    used = [index for index, count in enumerate(mask.histogram()) if count and index not in apart]
    colors = [tuple(palette[3 * index : 3 * index + 3]) for index in used]
    owners = [[id for id, own in enumerate(label_set.palette) if own == color] for color in colors]
    moved = [color for index, color, ids in zip(used, colors, owners, strict=True) if index not in ids]
    meanings = np.arange(256, dtype=np.uint8)
    if not any(color in label_set.palette for color in moved) or any(colors.count(color) > 1 for color in moved):
        _refuse_ids_as_greys(dict(zip(used, colors, strict=True)), len(label_set))
        return meanings  # the palette agrees, or says nothing
    for index, ids in zip(used, owners, strict=True):
        if len(ids) != 1:
            whose = " and ".join(repr(label_set.classes[id]) for id in ids) or "no class"
            raise ImageError(
                "its palette has colours of classes in another order, so expected the colour of one class at every "
                f"index, got that of {whose} at {index}; save the ids as grey levels"
            )
        meanings[index] = ids[0]
    return meanings


def _refuse_ids_as_greys(palette: dict[int, tuple[int, ...]], count: int) -> None:
    """Refuse a palette whose colours are the grey levels of other ids: a program that makes PNGs smaller, or saves
    them as GIF, has probably turned ids into a palette and numbered it anew.

    Raises:
        ImageError: all colours are different grey levels below ``count``, and not those of their own index.
    """
    colors = list(palette.values())
    if len(set(colors)) < len(colors) or len(colors) < 2:  # black alone, as if there were no palette
        return
    if all(color == (color[0],) * 3 and color[0] < count for color in colors):
        for index, (level, *_) in palette.items():
            if index != level:
                raise ImageError(
                    f"its palette has the grey level {level} at index {index}, and both are label ids; save the ids "
                    "as grey levels, without a palette"
                )


def read_colors(path: Path) -> NDArray[np.uint8] | None:
    """Read the colours of a painted mask, uint8 (H, W, 3), in its EXIF orientation; None if the mask has
    ids.

    Raises:
        ImageError: as :func:`read_rgb`.
    """

    def read() -> NDArray[np.uint8] | None:
        refuse_unless_regular(path)
        with opened_image(path) as mask:
            refuse_unusable(mask, MAX_PIXELS)
            refuse_several(mask, path)
            return np.asarray(upright(mask).convert("RGB")) if mask.mode in ("RGB", "RGBA") else None

    colors: NDArray[np.uint8] | None = explained(quoted(path), read)
    return colors


def palette_image(labels: NDArray[np.uint8], label_set: LabelSet) -> Image.Image:
    """An 8-bit palette image with label ids as indices and the colours of the label set."""
    image = Image.fromarray(labels)
    image.putpalette(label_set.color_table.tobytes())
    return image


def png(image: Image.Image, info: PngInfo | None = None) -> bytes:
    """A PNG file. A palette image is stored as runs of one label, which takes half the time of zlib's usual search."""
    buffer = io.BytesIO()
    runs = {"compress_type": zlib.Z_RLE} if image.mode == "P" else {}
    image.save(buffer, format="PNG", pnginfo=info, **runs)
    return buffer.getvalue()
