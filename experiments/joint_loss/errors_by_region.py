"""Which of a model's wrong pixels the joint loss can see, and what their mean IoU would be without those of a kind.
Usage: python -m experiments.joint_loss.errors_by_region EVALUATION.json [...]

EVALUATION.json is what ``ssnan evaluate --data DIR --json EVALUATION.json`` writes for the LIP labels.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssnan.evaluation.metrics import Score
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
    background[0, 0] = False
    no_region = ((region[:, None] < 0) | (region < 0)) & ~background
    inside = (region[:, None] == region) & ~no_region & ~background
    for pixels in (no_region, inside):
        np.fill_diagonal(pixels, False)
    kinds = {
        "person and background": background,
        "a class without a joint": no_region,
        "classes of one joint": inside,
        "two joints": ~(background | no_region | inside | np.eye(len(LIP), dtype=bool)),
        "left and right, among those": swapped,
    }
    print(f"| Wrong pixels between | {' | '.join(files)} |")
    print("| --- |" + " ---: |" * len(files))
    confusions = []
    for file in files:
        with Path(file).open() as opened:
            confusions.append(np.array(json.load(opened)["confusion"]))
    for name, pixels in kinds.items():
        shares = [100 * confusion[pixels].sum() / (confusion.sum() - confusion.trace()) for confusion in confusions]
        print(f"| {name} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |")
    print(f"\n| Mean IoU | {' | '.join(files)} |")
    print("| --- |" + " ---: |" * len(files))
    for name, pixels in {"as it is": np.zeros_like(swapped), **kinds}.items():
        scores = [Score.of_present(without(confusion, pixels)).mean_iou for confusion in confusions]
        told = name if name == "as it is" else f"without those between {name.removesuffix(', among those')}"
        print(f"| {told} | " + " | ".join(f"{100 * score:.2f}" for score in scores) + " |")


def without(confusion: NDArray[np.int64], pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The confusion matrix if these errors were none."""
    corrected = np.where(pixels, 0, confusion)
    np.fill_diagonal(corrected, confusion.diagonal() + np.where(pixels, confusion, 0).sum(axis=1))
    return corrected


if __name__ == "__main__":
    main(sys.argv[1:])
