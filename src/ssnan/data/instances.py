"""Which person each pixel belongs to: labels that tell people apart.

A map of people is uint8 (H, W): 0 for nobody, 1 and more for one person each, and :data:`ssnan.labels.UNKNOWN_PERSON`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssnan.data.folder import Sample
from ssnan.data.keypoints import BONES, KEYPOINTS, Keypoints, lines
from ssnan.labels import UNKNOWN_PERSON, LabelSet

TRUNK = (("left-shoulder", "right-shoulder"), ("left-hip", "right-hip"), ("left-shoulder", "left-hip"),
         ("right-shoulder", "right-hip"), ("left-shoulder", "right-hip"), ("right-shoulder", "left-hip"),
         ("nose", "left-shoulder"), ("nose", "right-shoulder"), ("left-ear", "right-ear"))  # fmt: skip
"""The pairs of keypoints of head and trunk."""

PAIRS = (
    *(pair for bones in BONES.values() for pair in bones),
    *((KEYPOINTS.index(one), KEYPOINTS.index(other)) for one, other in TRUNK),
)


def instances_of(sample: Sample, labels: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """The map of people of a sample, with its mask values in ``label_set``, (H, W)."""
    if sample.instances is not None:
        return sample.instances
    return from_keypoints(sample.keypoints, labels, label_set)


def from_keypoints(keypoints: Keypoints, labels: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """The map of people of a photo with keypoints. Without keypoints, only the background is known.

    Lines between two visible keypoints are painted. A connected region of people that the lines of one person alone
    touch belongs to that person. In other regions, only pixels on the lines of one person are known.

    Args:
        keypoints: those of everybody in the photo, (n, 17, 3).
        labels: mask values of ``label_set``, (H, W).
    """
    result = np.where(labels == 0, np.uint8(0), np.uint8(UNKNOWN_PERSON))
    if not len(keypoints):
        return result
    somebody = label_set.person[labels]
    painted = np.stack([lines(person, PAIRS, labels.shape) & somebody for person in keypoints[: UNKNOWN_PERSON - 1]])
    alone = painted.sum(axis=0) == 1
    pieces, count = ndimage.label(somebody, structure=np.ones((3, 3)))
    touched = np.zeros((len(painted), count + 1), dtype=bool)
    for number, own in enumerate(painted):
        result[own & alone] = 1 + number
        touched[number, pieces[own]] = True
    owner = np.where(touched.sum(axis=0) == 1, 1 + touched.argmax(axis=0), 0).astype(np.uint8)
    owned = owner[pieces] * somebody
    return np.where(owned > 0, owned, result)
