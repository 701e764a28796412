"""Write pasted scenes as a dataset that tells people apart, to measure with ``ssnan evaluate``.

    python -m experiments.people.scenes OUTPUT SCENES DATASET… [--count 100] [--seed 0] [--split val]

SCENES is a folder of photos without people. People are cut out of a split of each DATASET, in LIP's labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from experiments import description
from ssnan.data.folder import Sample
from ssnan.data.layouts import open_split
from ssnan.data.pasting import PastedScenes
from ssnan.io.masks import palette_image
from ssnan.labels import LIP


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
    description.write(output, scenes.label_set, {"val": written}, instances="people")


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
