"""Check the sides of limbs in a label map at marked keypoints."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssnan.data.keypoints import KEYPOINTS, Keypoints
from ssnan.labels import LabelSet

JUDGED = {
    "elbow": ("arm",),
    "wrist": ("arm",),
    "knee": ("leg", "shoe"),
    "ankle": ("leg", "shoe"),
}
"""The limb keypoints, and the expected classes there, without the side."""


class SideCounts(NamedTuple):
    """Visible limb keypoints of main persons.

    Attributes:
        seen: keypoints in the photo that are not hidden.
        on_person: of those, keypoints on a pixel that is not background.
        sided: of those, keypoints on a class of that limb, of either side.
        right: of those, keypoints on the class of their own side.
    """

    seen: int = 0
    on_person: int = 0
    sided: int = 0
    right: int = 0

    def plus(self, other: SideCounts) -> SideCounts:
        """The sum of both counts."""
        return SideCounts(*(a + b for a, b in zip(self, other, strict=True)))


def has_limbs(label_set: LabelSet) -> bool:
    """Whether the label set has a class of a limb with a side, such as ``left-arm``."""
    limbs = {f"{side}-{part}" for side in ("left", "right") for parts in JUDGED.values() for part in parts}
    return not limbs.isdisjoint(label_set.classes)


def count_sides(predicted: NDArray[np.uint8], keypoints: Keypoints, label_set: LabelSet) -> SideCounts:
    """Count the limb keypoints of the main person of a photo, the first of ``keypoints``.

    Args:
        predicted: class ids, (H, W).
        keypoints: those of the people, (n, 17, 3).
    """
    counts = np.zeros(4, dtype=int)
    height, width = predicted.shape
    for keypoint, (x, y, visible) in zip(KEYPOINTS, keypoints[0] if len(keypoints) else (), strict=False):
        side, _, kind = keypoint.partition("-")
        if kind not in JUDGED or visible != 2 or not (0 <= x < 1 and 0 <= y < 1):
            continue
        name = label_set.classes[predicted[int(y * height), int(x * width)]]
        found, _, part = name.partition("-")
        sided = part in JUDGED[kind]
        counts += [1, name != label_set.classes[0], sided, sided and found == side]
    return SideCounts(*counts.tolist())
