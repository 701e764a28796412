"""Does the bundled model give the same classes in other light?

    python -m experiments.bundled.light_sensitivity data/ccp-lip runs/taught/selfies ... [--model small]

Prints, for photos of the val splits as they are and in other light, the mean IoU and the share of the pixels of people
whose class the change of light changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import ssnan
from experiments.measuring import mean_iou_over
from ssnan.data.layouts import open_split
from ssnan.evaluation.metrics import class_counts, confusion_matrix
from ssnan.evaluation.report import markdown

Photo = NDArray[np.uint8]
"""RGB, (H, W, 3)."""


def uneven(strength: float) -> Callable[[Photo, np.random.Generator], Photo]:
    """A smooth random map of light; ``strength`` is the standard deviation of its logarithm at 4 × 4 points."""

    def change(photo: Photo, random: np.random.Generator) -> Photo:
        points = random.normal(size=(4, 4)).astype(np.float32)
        smooth = cv2.resize(points, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return np.clip(photo * np.exp(strength * smooth)[..., None], 0, 255).astype(np.uint8)

    return change


def tones(gamma: float) -> Callable[[Photo, np.random.Generator], Photo]:
    """Lighter mid-tones below 1, darker ones above."""
    return lambda photo, random: np.round(255 * (photo / 255) ** gamma).astype(np.uint8)


def equalised(photo: Photo, random: np.random.Generator) -> Photo:
    """More contrast within each of 4 × 4 tiles (CLAHE)."""
    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(2, (4, 4)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(np.uint8)


CHANGES: dict[str, Callable[[Photo, np.random.Generator], Photo]] = {
    "as they are": lambda photo, random: photo,
    **{f"uneven light, strength {strength}": uneven(strength) for strength in (0.2, 0.4, 0.6)},
    "gamma 0.7": tones(0.7),
    "gamma 1.2": tones(1.2),
    "local contrast": equalised,
}


def measure(model: ssnan.Parser, data: Path) -> dict[str, tuple[float, float]]:
    """For every change, the mean IoU, and the share of people's pixels that it changes; in percent."""
    folder = open_split(data, "val")
    counts = {name: np.zeros((3, len(folder.label_set)), dtype=np.int64) for name in CHANGES}
    changed: dict[str, list[float]] = {name: [] for name in CHANGES}
    for index in track(range(len(folder)), data.name):
        sample = folder[index]
        usual = model(sample.image).labels
        for name, change in CHANGES.items():
            labels = model(change(sample.image, np.random.default_rng(index))).labels
            confusion = confusion_matrix(sample.labels, labels, folder.label_set)
            counts[name] += class_counts(confusion, folder.label_set.sets)
            if usual.any():
                changed[name].append(float((labels != usual)[usual > 0].mean()))
    return {
        name: (float(mean_iou_over(slice(None))(counts[name])), 100 * float(np.mean(changed[name]))) for name in CHANGES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", default="small")
    options = parser.parse_args()
    model = ssnan.load(options.model)
    found = {data.name: measure(model, data) for data in options.data}
    rows = [["photos", *(f"{name}: mean IoU / changed" for name in found)]]
    rows += [[name, *("{:.1f} / {:.1f}".format(*values[name]) for values in found.values())] for name in CHANGES]
    print(markdown(rows))


if __name__ == "__main__":
    main()
