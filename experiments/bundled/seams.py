"""Are garments whole if two kinds that meet without an edge in the photo become one?

    python -m experiments.bundled.seams DATASET... [--contrast 0.03] [--classes upper-clothes,dress,coat,jumpsuits]

Prints mean IoU and accuracy of the bundled model on val splits, as it is and with :func:`without_seams`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import ssnan
from ssnan.data.layouts import open_split
from ssnan.evaluation.evaluate import evaluate
from ssnan.evaluation.metrics import Score
from ssnan.parsing.card import DEFAULT_MODEL, find_card
from ssnan.parsing.parser import Decoded, Scored
from ssnan.scores.softmax import softmax

SHORTEST = 3
"""Neighbouring cells of the shortest border that counts; relative to the square root of the smaller part's cells, it is
at least 1."""


def without_seams(
    scores: NDArray[np.float32], rgb: NDArray[np.uint8], class_ids: Sequence[int], contrast: float
) -> NDArray[np.float32]:
    """Scores (C, h, w) in which two connected parts of ``class_ids`` have one class, the likelier one over both, if the
    colours of the photo differ by less than ``contrast`` (0..1) across their border, the faintest border first."""
    small = Image.fromarray(rgb).resize(scores.shape[:0:-1], Image.Resampling.BOX)
    colors, shares, scores = np.asarray(small, dtype=np.float32) / 255, softmax(scores), scores.copy()
    while True:
        labels = scores.argmax(axis=0)
        parts, kinds = np.zeros(labels.shape, dtype=np.intp), [0]
        for class_id in class_ids:
            own, count = ndimage.label(labels == class_id)
            parts[own > 0] = own[own > 0] + len(kinds) - 1
            kinds += [class_id] * count
        if (faintest := _faintest(parts, colors, contrast)) is None:
            return scores
        one, other = faintest
        both = (parts == one) | (parts == other)
        if shares[kinds[one]][both].sum() < shares[kinds[other]][both].sum():
            one, other = other, one
        lost = parts == other
        pair = np.sort(scores[[kinds[other], kinds[one]]][:, lost], axis=0)
        scores[kinds[other], lost], scores[kinds[one], lost] = pair[0], pair[1] + 1e-3


def _faintest(parts: NDArray[np.intp], colors: NDArray[np.float32], contrast: float) -> tuple[int, int] | None:
    """The two parts with the faintest border, if it is fainter than ``contrast``."""
    sizes, found = np.bincount(parts.ravel()), {}
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        meets = (parts[first] > 0) & (parts[second] > 0) & (parts[first] != parts[second])
        pairs = np.sort(np.stack([parts[first][meets], parts[second][meets]]), axis=0)
        for one, other, step in zip(*pairs, np.abs(colors[first] - colors[second]).max(axis=2)[meets], strict=True):
            found.setdefault((int(one), int(other)), []).append(float(step))
    long = {
        pair: float(np.mean(steps))
        for pair, steps in found.items()
        if len(steps) >= max(SHORTEST, min(sizes[list(pair)]) ** 0.5)
    }
    faintest = min(long, key=lambda pair: long[pair], default=None)
    return faintest if faintest is not None and long[faintest] < contrast else None


class Seamless(ssnan.Parser):
    """The bundled model with :func:`without_seams`."""

    class_ids: Sequence[int] = ()
    contrast = 0.0

    def score(self, decoded: Decoded) -> Scored:
        scored = super().score(decoded)
        return scored._replace(scores=without_seams(scored.scores, decoded.rgb, self.class_ids, self.contrast))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, nargs="+", metavar="DATASET")
    arguments.add_argument("--contrast", type=float, default=0.03)
    arguments.add_argument("--classes", default="upper-clothes,dress,coat,jumpsuits", metavar="NAME,...")
    arguments.add_argument("--engine", default="onnxruntime")
    options = arguments.parse_args()
    plain, seamless = (kind.of_card(find_card(DEFAULT_MODEL), options.engine) for kind in (ssnan.Parser, Seamless))
    seamless.class_ids = [plain.label_set.classes.index(name) for name in options.classes.split(",")]
    seamless.contrast = options.contrast
    for root in options.data:
        folder = open_split(root, "val")
        for parser in (plain, seamless):
            measured = evaluate(parser, (folder[index] for index in range(len(folder))), folder.label_set)
            score = Score.of_present(measured.confusion, folder.label_set.sets)
            numbers = f"{100 * score.mean_iou:.2f} mean IoU, {100 * score.overall_accuracy:.2f} accuracy"
            print(f"{root}, {'as it is' if parser is plain else 'without seams'}: {numbers}")


if __name__ == "__main__":
    main()
