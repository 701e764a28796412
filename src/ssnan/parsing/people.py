"""The people of a result, each a result of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.parsing.grouping import largest_first
from ssnan.parsing.pieces import numbered
from ssnan.parsing.softmax import softmax

if TYPE_CHECKING:
    from ssnan.parsing.person import Person
    from ssnan.parsing.result import ParsingResult


def find(result: ParsingResult) -> NDArray[np.uint8]:
    """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody. The network's
    own answer if there is one, see :mod:`ssnan.parsing.grouping`, otherwise that of :mod:`ssnan.parsing.pieces`."""
    if result.instances is None:
        return numbered(result.labels, result.label_set)
    return largest_first(result.instances * result.label_set.person[result.labels])


def people(result: ParsingResult) -> list[Person]:
    """Every person of a result, largest first."""
    return [_person(result, number) for number in range(1, 1 + int(result.people_map.max(initial=0)))]


def main_figure(result: ParsingResult) -> ParsingResult:
    """The largest person of a result; the result itself if it shows nobody."""
    return _person(result, 1) if result.people_map.any() else result


def _person(result: ParsingResult, number: int) -> Person:
    """Person ``number`` of a result. The others are background, in the scores too."""
    from ssnan.parsing.person import Person

    kept = result.people_map == number
    others = result.label_set.person[result.labels] & ~kept
    scores, score = result.scores, None
    if scores is not None:
        own, strange = (_shares(mask, *scores.shape[1:]) for mask in (kept, others))
        parts = result.label_set.person[: len(result.label_set)]
        score = float(np.average(softmax(scores)[parts].sum(axis=0), weights=own))
        cells = _around(strange) & ~_around(own)
        scores = scores.copy()
        scores[0, cells] = scores.max(axis=0)[cells] + 20
    labels = np.where(kept, result.labels, 0).astype(np.uint8)
    return Person(
        labels,
        result.label_set,
        scores,
        result.source,
        instances=kept.astype(np.uint8),
        number=number,
        score=score,
        others=others,
    )


def _shares(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.float32]:
    """The share of each cell of a coarser map (height, width) that a mask (H, W) covers."""
    return np.asarray(Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX))


def _around(shares: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The cells with a share above 0, and their neighbours."""
    from scipy import ndimage

    touched: NDArray[np.bool_] = ndimage.binary_dilation(shares > 0, np.ones((3, 3)))
    return touched
