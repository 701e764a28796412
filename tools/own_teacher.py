"""Replace the sets of classes in a half-labelled dataset by the classes that a model of ssnan predicts there.

    own_teacher.py MODEL DATASET -o TAUGHT [--sure 0.7] [--scales 0.75,1,1.25] [--mirror]

A pixel of a set S becomes the class c of S with the largest p(c) / Σ p over S if that is at least ``--sure``, and
otherwise keeps the set. So no label of the first teacher or of a person is contradicted. Pixels with a class and
ignored pixels stay. TAUGHT gets ``masks/``, ``dataset.yaml`` and the list of ``--split``, and reads the photos where
they are. MODEL is anything that ``ssnan evaluate`` takes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

import ssnan
from ssnan.data.custom import DESCRIPTION
from ssnan.data.layouts import open_split
from ssnan.labels import LabelSet
from ssnan.parsing.views import Views
from ssnan.scores.softmax import softmax
from ssnan.scores.upsampling import resized


def sharpened(
    labels: NDArray[np.uint8], probabilities: NDArray[np.float32], label_set: LabelSet, sure: float
) -> NDArray[np.uint8]:
    """``labels`` (H, W) with sets resolved by ``probabilities`` (C, H, W) where those are ``sure``."""
    result = labels.copy()
    for class_set in label_set.sets:
        where = labels == class_set.value
        if not where.any():
            continue
        inside = probabilities[list(class_set.class_ids)][:, where]
        share = inside.max(axis=0) / inside.sum(axis=0).clip(np.finfo(np.float32).tiny)
        best = np.array(class_set.class_ids, dtype=np.uint8)[inside.argmax(axis=0)]
        result[where] = np.where(share >= sure, best, class_set.value)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--sure", type=float, default=0.7, help="share of a set's probability that decides (0.7)")
    parser.add_argument("--scales", type=lambda text: tuple(map(float, text.split(","))), default=(1.0,))
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=int, help="stop after this many photos")
    options = parser.parse_args()
    if options.output.resolve() == options.dataset.resolve():
        parser.error(f"-o {options.output}: is the dataset itself, whose masks it would replace; choose another folder")
    views = Views(options.scales, options.mirror)
    own = ssnan.load(options.model, engine=options.engine, threads=options.threads, views=views)
    folder = open_split(options.dataset, options.split)
    (options.output / "masks").mkdir(parents=True, exist_ok=True)
    taught = folder.pairs[: options.limit]
    for index in track(range(len(taught)), "teaching"):
        sample = folder[index]
        probabilities = resized(softmax(own.score(own.decode(sample.image)).scores), *sample.labels.shape)
        mask = sharpened(sample.labels, probabilities, folder.label_set, options.sure)
        Image.fromarray(mask).save(options.output / "masks" / f"{sample.id}.png")
    description = yaml.safe_load((options.dataset / DESCRIPTION).read_text())
    description["images"] = str(taught[0].image.parent.resolve())
    description["masks"], description["splits"] = "masks", {options.split: f"{options.split}.txt"}
    (options.output / DESCRIPTION).write_text(yaml.safe_dump(description, sort_keys=False))
    (options.output / f"{options.split}.txt").write_text("".join(f"{pair.id}\n" for pair in taught))


if __name__ == "__main__":
    main()
