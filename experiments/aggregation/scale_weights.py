"""Figure 5 in numbers: how much each scale is trusted, by class and by the size of what is seen.

    python -m experiments.aggregation.scale_weights DATASET [--model small] [--split val]

Weights (Eq. 3) are averaged over the pixels of every true class, and over the connected pieces of all parts by the
share of the photo that they cover.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.ndimage import label as connected

import ssnan
from ssnan.data.layouts import open_split
from ssnan.evaluation.report import markdown
from ssnan.scores.upsampling import resized

SIZES = {"below 0.1 %": 0.001, "0.1 to 1 %": 0.01, "1 to 10 %": 0.1, "above 10 %": 1.0}
"""Of a piece, by the largest share of the photo that it may cover."""


def mean_weights(
    weights: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]], names: Sequence[str]
) -> dict[str, tuple[NDArray[np.float64], int]]:
    """Mean weight of each scale, (S,), and pixels, by class and by size; rows of nothing are left out.

    Args:
        weights: of each photo, (S, H, W).
        labels: true class ids, (H, W); ids beyond ``names`` do not count.
        names: of the classes, the background first.
    """
    sums: dict[str, tuple[NDArray[np.float64], int]] = {}

    def add(row: str, weight: NDArray[np.float32], where: NDArray[np.bool_]) -> None:
        if where.any():
            total, pixels = sums.get(row, (np.zeros(len(weight)), 0))
            sums[row] = total + weight[:, where].sum(axis=1, dtype=np.float64), pixels + int(where.sum())

    for weight, truth in zip(weights, labels, strict=True):
        for class_id, name in enumerate(names):
            mask = truth == class_id
            add(name, weight, mask)
            if class_id and mask.any():
                pieces, _ = connected(mask)
                share = np.bincount(pieces.ravel())[pieces] / mask.size
                low = 0.0
                for row, high in SIZES.items():
                    add(row, weight, mask & (share > low) & (share <= high))
                    low = high
    return {row: (sums[row][0] / sums[row][1], sums[row][1]) for row in (*names, *SIZES) if row in sums}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    model, folder = ssnan.load(options.model), open_split(options.dataset, options.split)
    weights, labels = [], []
    for index in track(range(len(folder)), "weighing"):
        sample = folder[index]
        coarse = model.scale_weights(model.decode(sample.image))
        if coarse is None:
            raise SystemExit(f"{options.model}: expected a model that weighs scales, as SS-NAN does; choose another")
        weights.append(resized(coarse, *sample.labels.shape))
        labels.append(sample.labels)
    found = mean_weights(weights, labels, folder.label_set.classes)
    scales = len(weights[0])
    rows = [["of", "pixels, %", *(f"scale {i + 1} of {scales}" for i in range(scales))]]
    total = sum(pixels for row, (_, pixels) in found.items() if row not in SIZES)
    for row, (mean, pixels) in found.items():
        rows.append([row, f"{100 * pixels / total:.2f}", *(f"{value:.2f}" for value in mean)])
    print(markdown(rows))


if __name__ == "__main__":
    main()
