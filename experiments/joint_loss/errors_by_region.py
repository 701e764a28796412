"""Which of a model's wrong pixels the joint loss can see, and what their mean IoU would be without those of a kind.

    python -m experiments.joint_loss.errors_by_region EVALUATION.json [...]

EVALUATION.json is what ``ssnan evaluate --data DIR --json EVALUATION.json`` writes for the LIP labels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssnan.evaluation.metrics import Score
from ssnan.evaluation.report import markdown
from ssnan.labels import LIP


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="EVALUATION.json")
    files = parser.parse_args().files
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
    confusions = [np.array(json.loads(file.read_bytes())["confusion"]) for file in files]
    names = list(map(str, files))
    rows = [["Wrong pixels between", *names]]
    for name, pixels in kinds.items():
        shares = [100 * confusion[pixels].sum() / (confusion.sum() - confusion.trace()) for confusion in confusions]
        rows.append([name, *(f"{share:.1f} %" for share in shares)])
    print(markdown(rows) + "\n")
    rows = [["Mean IoU", *names]]
    for name, pixels in {"as it is": np.zeros_like(swapped), **kinds}.items():
        scores = [Score.of_present(without(confusion, pixels)).mean_iou for confusion in confusions]
        told = name if name == "as it is" else f"without those between {name.removesuffix(', among those')}"
        rows.append([told, *(f"{100 * score:.2f}" for score in scores)])
    print(markdown(rows))


def without(confusion: NDArray[np.int64], pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The confusion matrix if these errors were none."""
    corrected = np.where(pixels, 0, confusion)
    np.fill_diagonal(corrected, confusion.diagonal() + np.where(pixels, confusion, 0).sum(axis=1))
    return corrected


if __name__ == "__main__":
    main()
