"""The drawn people, half labelled: who is there is known, most of what they wear is not."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from fakes.lip import person
from ssnan.labels import LIP

SETS = {
    100: [name for name in LIP.classes if name != "background"],
    101: ["upper-clothes", "coat"],
    102: ["left-arm", "left-leg"],
}


def half_labelled(labels: np.ndarray) -> np.ndarray:
    """Hair and face stay, upper-clothes become set 101, the left arm 102, the rest of the person 100."""
    mask = np.where(labels == 0, 0, 100).astype(np.uint8)
    for name, value in (("hair", 2), ("face", 13), ("upper-clothes", 101), ("left-arm", 102)):
        mask[labels == LIP.classes.index(name)] = value
    return mask


def write_sets(root: Path, count: int = 4) -> Path:
    """Write a dataset of LIP's classes under ``root``, with val = train."""
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True)
    values = {
        "name": "lip",
        "images": "photos",
        "masks": "masks",
        "classes": {name: list(color) for name, color in zip(LIP.classes, LIP.palette, strict=True)},
        "pairs": [["left-arm", "right-arm"], ["left-leg", "right-leg"], ["left-shoe", "right-shoe"]],
        "sets": SETS,
        "splits": {"train": "all.txt", "val": "all.txt"},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (root / "all.txt").write_text("".join(f"h{number}\n" for number in range(count)))
    for number in range(count):
        photo, labels = person(shift=number)
        Image.fromarray(photo).save(root / "photos" / f"h{number}.jpg", quality=95)
        Image.fromarray(half_labelled(labels)).save(root / "masks" / f"h{number}.png")
    return root
