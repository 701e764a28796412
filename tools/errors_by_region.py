"""Which of a model's wrong pixels the joint loss can see. Usage: errors_by_region.py EVALUATION.json [...]

EVALUATION.json is what ``ssnan evaluate --data DIR --json EVALUATION.json`` writes for the LIP labels.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ssnan.labels import LIP


def main(files: list[str]) -> None:
    region = np.full(len(LIP), -1)
    for index, part in enumerate(LIP.regions):
        region[list(part.class_ids)] = index
    swapped = np.zeros((len(LIP), len(LIP)), dtype=bool)
    for left, right in LIP.flip_pairs:
        swapped[left, right] = swapped[right, left] = True
    background = np.zeros_like(swapped)
    background[0] = background[:, 0] = True
    no_region = ((region[:, None] < 0) | (region < 0)) & ~background
    inside = (region[:, None] == region) & ~no_region & ~background
    kinds = {
        "person and background": background,
        "a class without a joint": no_region,
        "classes of one joint": inside,
        "two joints": ~(background | no_region | inside),
        "left and right, among those": swapped,
    }
    print(f"| Wrong pixels between | {' | '.join(files)} |")
    print("| --- |" + " ---: |" * len(files))
    wrong = []
    for file in files:
        with Path(file).open() as opened:
            confusion = np.array(json.load(opened)["confusion"], dtype=float)
        np.fill_diagonal(confusion, 0)
        wrong.append(100 * confusion / confusion.sum())
    for name, pixels in kinds.items():
        print(f"| {name} | " + " | ".join(f"{one[pixels].sum():.1f} %" for one in wrong) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
