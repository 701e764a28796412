"""How many people a map shows, and the main one of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.labels import LabelSet

LARGE = 0.15
"""Share of the largest piece's pixels from which another piece counts; a figure or a head two fifths as tall has about
this share. Smaller pieces are mostly occluded hands or feet, errors, or people far behind. Chosen by hand."""


def count(labels: NDArray[np.uint8], label_set: LabelSet) -> int:
    """How many people a map shows: the large connected pieces of the person, or of heads where those are more, since
    people who touch are one piece. One person whom something cuts in two counts twice; people behind each other with
    one head in sight count once."""
    heads = [i for region in label_set.regions if region.name == "head" for i in region.class_ids]
    return max(_large(labels > 0), _large(np.isin(labels, heads)))


def main_figure(
    labels: NDArray[np.uint8], scores: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Labels (H, W) and scores (C, h, w) with all but the largest connected piece of the person made background."""
    pieces, sizes = _pieces(labels > 0)
    if len(sizes) < 2:
        return labels, scores
    kept = pieces == 1 + sizes.argmax()
    others = _cells((pieces > 0) & ~kept, *scores.shape[1:]) & ~_cells(kept, *scores.shape[1:])
    scores = scores.copy()
    scores[0, others] = scores.max(axis=0)[others] + 20
    return np.where(kept, labels, 0).astype(np.uint8), scores


def _cells(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Cells of a coarser map (height, width) that a mask (H, W) touches, and their neighbours."""
    from scipy import ndimage

    small = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    touched: NDArray[np.bool_] = ndimage.binary_dilation(np.asarray(small) > 0, np.ones((3, 3)))
    return touched


def _pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """A number for every pixel, (H, W), 0 outside, and the pieces' pixels; diagonal neighbours belong together."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return pieces, np.bincount(pieces.ravel())[1:]


def _large(mask: NDArray[np.bool_]) -> int:
    _, sizes = _pieces(mask)
    return int((sizes >= LARGE * sizes.max()).sum()) if len(sizes) else 0
