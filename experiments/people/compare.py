"""How well are people told apart by the instance head, without it, and if the true people were known?

    python -m experiments.people.compare DATASET [--split val] [--model small] [--engine onnxruntime]

All three have the same label maps. Without the head, people are found in the label map alone
(``ssnan/results/pieces.py``). Known people have those pixels of each true person that the network calls a person, which
no grouping can exceed by much.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

import ssnan
from ssnan.data.folder import Sample
from ssnan.data.layouts import open_split
from ssnan.evaluation.instances import Instances, instances_table
from ssnan.labels import UNKNOWN_PERSON, LabelSet


def compare(parser: ssnan.Parser, samples: Iterable[Sample], label_set: LabelSet) -> dict[str, Instances]:
    """What was found in samples that tell people apart, by the name of the way."""
    found = {name: Instances(label_set) for name in ("instance head", "label map alone", "true people")}
    for sample in samples:
        if sample.instances is None:
            raise SystemExit(
                f"{sample.id}: expected a dataset that tells people apart, got no instances; see docs/own-data.md"
            )
        result = parser(sample.image)
        true = np.where(sample.instances == UNKNOWN_PERSON, 0, sample.instances).astype(np.uint8)
        ways = (result, replace(result, instance_maps=None), replace(result, instances=true))
        for instances, way in zip(found.values(), ways, strict=True):
            instances.add(sample.labels, sample.instances, way)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, metavar="DATASET")
    arguments.add_argument("--split", default="val")
    arguments.add_argument("--model", default="small")
    arguments.add_argument("--engine", default="onnxruntime")
    options = arguments.parse_args()
    folder = open_split(options.data, options.split)
    parser = ssnan.load(options.model, engine=options.engine)
    samples = (folder[index] for index in range(len(folder)))
    for name, instances in compare(parser, samples, folder.label_set).items():
        table = instances_table(instances.numbers())
        table.title = f"{name}: {table.title}"
        Console().print(table)


if __name__ == "__main__":
    main()
