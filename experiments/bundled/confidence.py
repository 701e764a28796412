"""How sure of people must a model be? Of a threshold on the mean probability of a person, over the pixels called
person: how many photos of nobody still show somebody, and how many photos of people are lost.

    python -m experiments.bundled.confidence runs/taught/nobody runs/taught/lip-marks ... [--model small]

Prints a table of the val splits, a row a threshold and a column a dataset.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.progress import track

import ssnan
from ssnan.data.layouts import open_split
from ssnan.evaluation.report import markdown

THRESHOLDS = (0.0, 0.8, 0.84, 0.85, 0.86, 0.87, 0.88, 0.9)

SHOWN = 0.02
"""Share of a photo's pixels from which somebody is seen in it, as ``ssnan evaluate`` counts."""


def confidences(parser: ssnan.Parser, data: Path, most: int) -> tuple[list[float], list[float]]:
    """The mean probabilities of the photos in which somebody is seen: of those that show nobody, and of the others
    whose labels show somebody."""
    folder = open_split(data, "val")
    nobody, somebody = [], []
    for index in track(range(min(len(folder), most)), data.name):
        sample = folder[index]
        result = parser(sample.image)
        called = result.mask()
        if called.mean() <= SHOWN:
            continue
        sure = float(result.probability()[called].mean())
        person = folder.label_set.person[sample.labels]
        if not person.any():
            nobody.append(sure)
        elif person.mean() > SHOWN:
            somebody.append(sure)
    return nobody, somebody


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", default="small")
    parser.add_argument("--most", type=int, default=250, help="photos of each dataset (250)")
    options = parser.parse_args()
    model = ssnan.load(options.model, engine="onnxruntime")
    model.min_person_confidence = 0.0
    found = {data.name: confidences(model, data, options.most) for data in options.data}
    table = [["threshold", *(f"{name}: seen in nobody, people lost" for name in found)]]
    for least in THRESHOLDS:
        cells = [
            f"{(np.array(nobody) >= least).sum()}, {(np.array(somebody) < least).sum()}"
            for nobody, somebody in found.values()
        ]
        table.append([f"{least:g}", *cells])
    print(markdown(table))


if __name__ == "__main__":
    main()
