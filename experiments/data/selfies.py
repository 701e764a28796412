"""Masks of selfies: parts grown from marks, inside the outlines of the person that come with the photos.

    python -m experiments.data.selfies data/selfie-people runs/grown/selfies -o runs/taught/selfies

The first dataset knows the person of each photo (mask value 100); the second, which ``grow.py`` makes, knows the parts.
Photos and lists are those of the first, and its photos without marks keep their masks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from experiments import description
from experiments.data.marks import OTHER
from ssnan.labels import LIP

SOMEBODY = 100
"""The value of the person in the masks of the first dataset; in those of ``grow.py`` it is another person."""


def bounded(grown: NDArray[np.uint8], outline: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mask values (h, w): the parts that were ``grown`` inside the ``outline``, somebody where no part is known there,
    and outside background, but for other people, whom the outlines leave out: these pixels are ignored."""
    person = outline == SOMEBODY
    result = np.where(person & (grown > 0) & (grown < len(LIP)), grown, outline)
    result[~person & (grown == OTHER)] = LIP.ignore_index
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outlines", type=Path)
    parser.add_argument("grown", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    (options.output / "masks").mkdir(parents=True, exist_ok=True)
    lists = {split: (options.outlines / f"{split}.txt").read_text().split() for split in ("train", "val")}
    for name in track([name for names in lists.values() for name in names], "masks"):
        mask = np.asarray(Image.open(options.outlines / "masks" / f"{name}.png"))
        if (parts := options.grown / "masks" / f"{name}.png").exists():
            mask = bounded(np.asarray(Image.open(parts)), mask)
        Image.fromarray(mask).save(options.output / "masks" / f"{name}.png", optimize=True)
    photos = str((options.outlines / "photos").resolve())
    description.write(options.output, LIP, lists, images=photos, sets={SOMEBODY: list(LIP.classes[1:])})


if __name__ == "__main__":
    main()
