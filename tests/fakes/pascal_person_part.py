"""The drawn people in PASCAL-Person-Part's folder layout."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes.lip import person
from ssnan.io.masks import palette_image
from ssnan.labels import LIP, PASCAL_PERSON_PART

PART_OF = {
    "hair": "head", "face": "head", "upper-clothes": "torso", "left-arm": "upper-arms", "right-arm": "lower-arms",
    "pants": "upper-legs", "left-shoe": "lower-legs", "right-shoe": "lower-legs",
}  # fmt: skip


def parts(shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    photo, labels = person(shift=shift)
    table = np.zeros(256, np.uint8)
    for name, part in PART_OF.items():
        table[LIP.classes.index(name)] = PASCAL_PERSON_PART.classes.index(part)
    return photo, table[labels]


def write_pascal_person_part(root: Path, train: int = 4, val: int = 2, unpacked: bool = False) -> Path:
    """Write a dataset under ``root``; ``unpacked`` as the VOC and the part archive leave it."""
    images = root / ("VOCdevkit/VOC2010/JPEGImages" if unpacked else "JPEGImages")
    home = root / "pascal_person_part" if unpacked else root
    masks, lists = home / "pascal_person_part_gt", home / "pascal_person_part_trainval_list"
    for folder in (images, masks, lists):
        folder.mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        lines = []
        for number in range(count):
            name = f"2008_{split}{number}"
            photo, labels = parts(number)
            Image.fromarray(photo).save(images / f"{name}.jpg", quality=95)
            palette_image(labels, PASCAL_PERSON_PART).save(masks / f"{name}.png")
            lines.append(f"/JPEGImages/{name}.jpg /pascal_person_part_gt/{name}.png")
        (lists / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root
