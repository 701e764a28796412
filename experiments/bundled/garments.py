"""What is it worth to know which garments a photo shows?

    python -m experiments.bundled.garments data/ccp-lip runs/taught/lip-marks ... [--model small]

Prints the mean IoU on the val splits, at the network's own stride: as it is, with every garment ruled out that the true
mask hardly shows, with the probability of each garment multiplied by a power of its share of all garments, and with the
class of garments decided by the photo at half the size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

import ssnan
from experiments.measuring import mean_iou_over
from ssnan.data.layouts import open_split
from ssnan.evaluation.metrics import class_counts, confusion_matrix
from ssnan.evaluation.report import markdown
from ssnan.labels import LIP
from ssnan.parsing.views import Views
from ssnan.scores.softmax import softmax
from ssnan.scores.upsampling import resized

GARMENTS = [LIP.classes.index(name) for name in ("upper-clothes", "dress", "coat", "pants", "jumpsuits", "skirt")]

HARDLY = 0.001
"""Share of the photo below which a garment counts as not shown."""

FLOOR = 0.01
"""Added to shares, so that no garment is ruled out."""

POWERS = (0.25, 0.5, 1.0, 2.0)

SHARES = (0.3, 0.5, 1.0)
"""Of the photo at half the size, in the mean of logarithms that decides between garments."""

Probabilities = NDArray[np.float32]
"""(C, h, w)."""


def ruled_out(probabilities: Probabilities, labels: NDArray[np.uint8]) -> Probabilities:
    """Without the garments that ``labels`` (h, w) hardly show."""
    absent = [garment for garment in GARMENTS if (labels == garment).mean() < HARDLY]
    result = probabilities.copy()
    result[absent] *= 0.001
    return result


def weighed(probabilities: Probabilities, power: float) -> Probabilities:
    """Garments weighed by a power of their share."""
    garments = probabilities[GARMENTS]
    weight = (garments.sum(axis=(1, 2)) / max(float(garments.sum()), 1e-6) + FLOOR) ** power
    return with_garments(probabilities, garments * weight[:, None, None])


def mixed(probabilities: Probabilities, half: Probabilities, share: float) -> Probabilities:
    """Garments by the geometric mean with those of ``half``, which has this share."""
    own, other = (one[GARMENTS].clip(1e-4) for one in (probabilities, half))
    return with_garments(probabilities, own ** (1 - share) * other**share)


def with_garments(probabilities: Probabilities, garments: Probabilities) -> Probabilities:
    """Other proportions of the garments, which together keep their probability at every pixel."""
    result = probabilities.copy()
    result[GARMENTS] = garments * (result[GARMENTS].sum(axis=0) / garments.sum(axis=0).clip(1e-9))
    return result


CHANGES: dict[str, Callable[[Probabilities, Probabilities, NDArray[np.uint8]], Probabilities]] = {
    "as it is": lambda own, half, labels: own,
    "ruled out": lambda own, half, labels: ruled_out(own, labels),
    **{f"weighed, power {power:g}": lambda own, half, labels, power=power: weighed(own, power) for power in POWERS},
    **{
        f"half size, share {share:g}": lambda own, half, labels, share=share: mixed(own, half, share)
        for share in SHARES
    },
}


def mean_iou(model: ssnan.Parser, at_half: ssnan.Parser, data: Path) -> dict[str, float]:
    """Percent, for every change.

    Args:
        model, at_half: the model as it is, and on photos of half the size.
        data: a dataset with a val split.
    """
    folder = open_split(data, "val")
    labels_of, sets = folder.label_set, folder.label_set.sets
    counts = {name: np.zeros((3, len(labels_of)), dtype=np.int64) for name in CHANGES}
    for index in track(range(len(folder)), data.name):
        sample = folder[index]
        own, half = (softmax(one.score(one.decode(sample.image)).scores) for one in (model, at_half))
        half = resized(half, *own.shape[1:])
        labels = np.array(Image.fromarray(sample.labels).resize(own.shape[:0:-1], Image.Resampling.NEAREST))
        for name, change in CHANGES.items():
            decided = change(own, half, labels).argmax(axis=0).astype(np.uint8)
            counts[name] += class_counts(confusion_matrix(labels, decided, labels_of), sets)
    return {name: float(mean_iou_over(slice(None))(of_change)) for name, of_change in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", default="small")
    options = parser.parse_args()
    models = ssnan.load(options.model), ssnan.load(options.model, views=Views(scales=(0.5,)))
    found = {data.name: mean_iou(*models, data) for data in options.data}
    rows = [["garments", *found], *([name, *(f"{values[name]:.1f}" for values in found.values())] for name in CHANGES)]
    print(markdown(rows))


if __name__ == "__main__":
    main()
