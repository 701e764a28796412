"""The drawn people as somebody's own data."""

from pathlib import Path

import yaml
from PIL import Image

from fakes.lip import person
from ssnan.io.masks import palette_image
from ssnan.labels import LIP

NAMES = ("background", "hair", "face", "upper-clothes", "left-arm", "right-arm", "pants", "left-shoe", "right-shoe")


def description() -> dict:
    return {
        "name": "workwear",
        "images": "photos",
        "masks": "masks",
        "classes": {name: list(LIP.palette[LIP.classes.index(name)]) for name in NAMES},
        "pairs": [["left-arm", "right-arm"], ["left-shoe", "right-shoe"]],
        "joints": {"head": ["hair", "face"], "left-arm": ["left-arm"], "right-arm": ["right-arm"]},
    }


def write_custom(root: Path, count: int = 6, colors: bool = True) -> Path:
    """Write a dataset under ``root`` with masks in ``colors``, or of ids."""
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "dataset.yaml").write_text(yaml.safe_dump(description(), sort_keys=False))
    for number in range(count):
        photo, labels = person(shift=number)
        Image.fromarray(photo).save(root / "photos" / f"p{number}.jpg", quality=95)
        mask = palette_image(labels, LIP).convert("RGB")
        if not colors:
            own = labels * 0
            for class_id, name in enumerate(NAMES):
                own[labels == LIP.classes.index(name)] = class_id
            mask = Image.fromarray(own)
        mask.save(root / "masks" / f"p{number}.png")
    return root
