"""Results as ``supervision.Detections``."""

from __future__ import annotations

import numpy as np
from supervision import Detections

from ssnan.results.result import ParsingResult, extent_of


def detections(result: ParsingResult) -> Detections:
    """One detection per part, without the background: mask, box, class id and name, and the mean probability as
    confidence if the result has scores."""
    background = result.label_set.classes[0]
    names = [name for name in result.areas if name != background]
    if not names:
        return Detections.empty()
    masks = np.stack([result.mask(name) for name in names])
    confidence = None if result.scores is None else np.array([result.confidence[mask].mean() for mask in masks])
    return Detections(
        xyxy=np.array([extent_of(mask) for mask in masks], dtype=float),
        mask=masks,
        confidence=confidence,
        class_id=np.array([result.label_set.classes.index(name) for name in names]),
        data={"class_name": np.array(names)},
    )
