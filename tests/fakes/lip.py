"""A few drawn people in LIP's folder layout."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ssnan.io.masks import palette_image
from ssnan.labels import LIP


def person(height: int = 96, width: int = 64, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Photo and labels of a figure seen from the front: its left arm is on our right."""
    labels = Image.new("L", (width, height))
    draw = ImageDraw.Draw(labels)
    x, y = width / 64, height / 96

    def box(name: str, left: float, top: float, right: float, bottom: float) -> None:
        corners = ((left + shift) * x, top * y, (right + shift) * x - 1, bottom * y - 1)
        draw.rectangle(corners, fill=LIP.classes.index(name))

    box("hair", 24, 4, 40, 12)
    box("face", 24, 12, 40, 26)
    box("upper-clothes", 20, 26, 44, 52)
    box("right-arm", 10, 28, 20, 54)
    box("left-arm", 44, 28, 54, 54)
    box("pants", 20, 52, 44, 82)
    box("right-shoe", 18, 82, 30, 92)
    box("left-shoe", 34, 82, 46, 92)
    ids = np.array(labels)
    noise = np.random.default_rng(shift).integers(-12, 12, (height, width, 3))
    photo = np.clip(LIP.color_table[ids].astype(int) // 2 + 60 + noise, 0, 255).astype(np.uint8)
    return photo, ids


def write_lip(root: Path, train: int = 4, val: int = 2, nested: bool = False) -> Path:
    """Write a dataset under ``root``; ``nested`` doubles the folders, as some copies have them."""
    images, masks = root / "TrainVal_images", root / "TrainVal_parsing_annotations"
    if nested:
        images, masks = images / "TrainVal_images", masks / "TrainVal_parsing_annotations"
    for split, count in (("train", train), ("val", val)):
        (images / f"{split}_images").mkdir(parents=True)
        (masks / f"{split}_segmentations").mkdir(parents=True)
        ids = [f"{split}_{number}" for number in range(count)]
        (images / f"{split}_id.txt").write_text("\n".join(ids) + "\n")
        for number, sample_id in enumerate(ids):
            photo, labels = person(shift=number)
            Image.fromarray(photo).save(images / f"{split}_images" / f"{sample_id}.jpg", quality=95)
            palette_image(labels, LIP).save(masks / f"{split}_segmentations" / f"{sample_id}.png")
    return root
