"""Whether a map names the side of a limb that people say it has, at the joints that they marked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssnan.data.keypoints import JOINTS, People
from ssnan.labels import LabelSet

JUDGED = {
    "elbow": ("arm",),
    "wrist": ("arm",),
    "knee": ("leg", "shoe"),
    "ankle": ("leg", "shoe"),
}
"""Joints that are looked at, and the classes whose name may stand there, without their side."""


class SideCounts(NamedTuple):
    """Seen limb joints of main persons.

    Attributes:
        seen: joints that lie in the picture and are not hidden.
        on_person: of those, joints whose pixel is no background.
        sided: of those, joints whose pixel is of a class of that limb, of either side.
        right: of those, joints whose pixel names the joint's own side.
    """

    seen: int = 0
    on_person: int = 0
    sided: int = 0
    right: int = 0

    def plus(self, other: SideCounts) -> SideCounts:
        """The counts of both."""
        return SideCounts(*(a + b for a, b in zip(self, other, strict=True)))


def count_sides(predicted: NDArray[np.uint8], people: People, label_set: LabelSet) -> SideCounts:
    """Judge one picture at the joints of its main person, the first of ``people``.

    Args:
        predicted: class ids, (H, W).
        people: keypoints, (n, 17, 3).
    """
    counts = np.zeros(4, dtype=int)
    height, width = predicted.shape
    for joint, (x, y, visible) in zip(JOINTS, people[0] if len(people) else (), strict=False):
        side, _, kind = joint.partition("-")
        if kind not in JUDGED or visible != 2 or not (0 <= x < 1 and 0 <= y < 1):
            continue
        name = label_set.classes[predicted[int(y * height), int(x * width)]]
        found, _, part = name.partition("-")
        sided = part in JUDGED[kind]
        counts += [1, name != label_set.classes[0], sided, sided and found == side]
    return SideCounts(*counts.tolist())
