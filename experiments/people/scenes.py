"""Write pasted scenes as a dataset that tells people apart, to measure with ``ssnan evaluate``.

    python -m experiments.people.scenes OUTPUT SCENES DATASET… [--count 100] [--seed 0] [--split val]

SCENES is a folder of photos without people. People are cut out of a split of each DATASET, in LIP's labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml
from PIL import Image

from ssnan.data.folder import Sample
from ssnan.data.layouts import open_split
from ssnan.data.pasting import PastedScenes
from ssnan.io.masks import palette_image
from ssnan.labels import LIP, LabelSet


def description(label_set: LabelSet) -> dict[str, object]:
    """The ``dataset.yaml`` of scenes whose photos are all in ``val``."""
    classes = label_set.classes
    return {
        "name": "lip",
        "images": "photos",
        "masks": "masks",
        "instances": "people",
        "classes": {name: list(color) for name, color in zip(classes, label_set.palette, strict=True)},
        "pairs": [[classes[left], classes[right]] for left, right in label_set.flip_pairs],
        "joints": {region.name: [classes[i] for i in region.class_ids] for region in label_set.regions},
        "sets": {each.value: [classes[i] for i in each.class_ids] for each in label_set.sets},
        "splits": {"val": "val.txt"},
    }


def write(scenes: PastedScenes, output: Path, count: int, seed: int) -> None:
    """Write ``count`` scenes with at least one person."""
    for folder in ("photos", "masks", "people"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    draw = seed * 1_000_000
    while len(written) < count:
        torch.manual_seed(draw)
        sample: Sample = scenes[draw % len(scenes)]
        draw += 1
        if sample.instances is None or not sample.instances.any():
            continue
        name = f"{len(written):04}"
        Image.fromarray(sample.image).save(output / "photos" / f"{name}.jpg", quality=92)
        palette_image(sample.labels, scenes.label_set).save(output / "masks" / f"{name}.png")
        Image.fromarray(sample.instances).save(output / "people" / f"{name}.png")
        written.append(name)
    (output / "val.txt").write_text("\n".join(written) + "\n")
    (output / "dataset.yaml").write_text(yaml.safe_dump(description(scenes.label_set), sort_keys=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    folders = [open_split(root, options.split) for root in options.datasets]
    write(PastedScenes(options.scenes, folders, LIP), options.output, options.count, options.seed)


if __name__ == "__main__":
    main()
