"""Results as ``supervision.Detections``, and as the segments of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.labels import LabelSet
from ssnan.results.geometry import extent_of

if TYPE_CHECKING:
    from supervision import Detections


class Segment(TypedDict):
    """A part in the format of the pipelines of transformers."""

    score: float | None
    label: str
    mask: Image.Image


def segments(masks: Mapping[str, NDArray[np.bool_]], confidence: NDArray[np.float32] | None) -> list[Segment]:
    """One segment per part: the mean probability as score, the name, and the mask in 8-bit grey, 255 inside.

    Args:
        masks: mask (H, W) of every part by name.
        confidence: probability of the predicted class at every pixel, (H, W), 0..1; None if it is not known.
    """
    return [
        {
            "score": None if confidence is None else float(confidence[mask].mean()),
            "label": name,
            "mask": Image.fromarray(mask.astype(np.uint8) * 255),
        }
        for name, mask in masks.items()
    ]


def of_people(people: Sequence[tuple[NDArray[np.bool_], float | None, int | None]]) -> Detections:
    """One detection per person: mask, box, class 0 with the name ``person``, score and track.

    Args:
        people: mask (H, W) of every person, the confidence, 0..1, None if it is not known, and the ``tracker_id``, None
            for a photo.

    Raises:
        ModuleNotFoundError: as :func:`detections`.
    """
    from supervision import Detections

    if not people:
        return Detections.empty()
    masks, scores, tracks = zip(*people, strict=True)
    return Detections(
        xyxy=np.array([extent_of(mask) for mask in masks], dtype=float),
        mask=np.stack(masks),
        confidence=None if None in scores else np.array(scores),
        class_id=np.zeros(len(masks), dtype=int),
        tracker_id=None if None in tracks else np.array(tracks),
        data={"class_name": np.array(["person"] * len(masks))},
    )


def detections(
    masks: Mapping[str, NDArray[np.bool_]], label_set: LabelSet, confidence: NDArray[np.float32] | None
) -> Detections:
    """One detection per part: mask, box, class id and name, and the mean probability as confidence.

    Args:
        masks: mask (H, W) of every part by name.
        label_set: their label set.
        confidence: probability of the predicted class at every pixel, (H, W), 0..1; None if it is not known.

    Raises:
        ModuleNotFoundError: supervision is not installed; it is in the extra ``formats``.
    """
    from supervision import Detections

    if not masks:
        return Detections.empty()
    return Detections(
        xyxy=np.array([extent_of(mask) for mask in masks.values()], dtype=float),
        mask=np.stack(list(masks.values())),
        confidence=None if confidence is None else np.array([confidence[mask].mean() for mask in masks.values()]),
        class_id=np.array([label_set.classes.index(name) for name in masks]),
        data={"class_name": np.array(list(masks))},
    )
