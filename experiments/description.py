"""The ``dataset.yaml`` of a dataset that an experiment writes, and its lists of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ssnan.data.custom import DESCRIPTION
from ssnan.labels import LabelSet


def described(label_set: LabelSet, splits: Iterable[str], **more: Any) -> dict[str, Any]:
    """What ``dataset.yaml`` says of labels and splits; ``more`` comes on top, but for what is None."""
    names = label_set.classes

    def named(class_ids: Iterable[int]) -> list[str]:
        return [names[class_id] for class_id in class_ids]

    return {
        "name": label_set.name,
        "images": "photos",
        "masks": "masks",
        "classes": {name: list(color) for name, color in zip(names, label_set.palette, strict=True)},
        "pairs": [named(pair) for pair in label_set.flip_pairs],
        "joints": {region.name: named(region.class_ids) for region in label_set.regions},
        "sets": {each.value: named(each.class_ids) for each in label_set.sets},
        "ignore": label_set.ignore_index,
        "splits": {split: f"{split}.txt" for split in splits},
    } | {key: value for key, value in more.items() if value is not None}


def write(folder: Path, label_set: LabelSet, lists: Mapping[str, Iterable[str]], **more: Any) -> None:
    """Write the description, and the names of the photos of every split; ``more`` as for :func:`described`."""
    for split, names in lists.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    text = yaml.safe_dump(described(label_set, lists, **more), sort_keys=False)
    (folder / DESCRIPTION).write_text(text)
