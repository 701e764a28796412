"""COCO keypoints of people: read them from a file, and paint the limbs that they belong to.

A label map gives the side of a bare arm, but not of an arm in a sleeve. Keypoints give both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ssnan.data.folder import DatasetError
from ssnan.labels import LabelSet

Keypoints = NDArray[np.float32]
"""Keypoints of the people in a photo, (n, 17, 3), the main person first: x and y as fractions of the photo's sides,
which may be outside 0..1, and COCO's visibility (2 visible, 1 hidden, 0 absent)."""

KEYPOINTS = (
    "nose", "left-eye", "right-eye", "left-ear", "right-ear", "left-shoulder", "right-shoulder", "left-elbow",
    "right-elbow", "left-wrist", "right-wrist", "left-hip", "right-hip", "left-knee", "right-knee", "left-ankle",
    "right-ankle",
)  # fmt: skip
"""COCO's order."""

BONES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "left-arm": ((5, 7), (7, 9)),
    "right-arm": ((6, 8), (8, 10)),
    "left-leg": ((11, 13), (13, 15)),
    "right-leg": ((12, 14), (14, 16)),
}
"""The pairs of keypoints of each limb, by the class of its bare skin."""

SHOES: Mapping[str, str] = {"left-shoe": "left-leg", "right-shoe": "right-leg"}
"""Other classes on a limb besides its skin."""

THICKNESS = 0.05
"""The width of a painted limb, relative to the extent of the person's keypoints."""


def read_keypoints(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a JSON file ``{photo: {"joints": 17 × [x, y, v], "others": [17 × …, …]}}``: :data:`Keypoints` by the name of
    the photo.

    Raises:
        DatasetError: the file cannot be read, or has another form.
    """
    try:
        entries = json.loads(path.read_bytes())
        people = {name: [entry["joints"], *entry.get("others", [])] for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: not a file of keypoints ({error!r}); expected {{photo: {{joints: …}}}}") from None
    result = {}
    for name, found in people.items():
        try:
            result[name] = np.array(found, dtype=np.float32).reshape(len(found), len(KEYPOINTS), 3)
        except (ValueError, TypeError):
            raise DatasetError(f"{path}: {name}: expected {len(KEYPOINTS)} keypoints [x, y, v] per person") from None
    return result


def limb_map(keypoints: Keypoints, labels: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """The limb of each pixel, clothed or bare, uint8 (H, W): the class of the limb's skin, 0 for background, or the
    ignored value if unknown.

    Bones between two visible keypoints are painted; pixels where limbs cross are ignored. Elsewhere, the labels give
    bare limbs, shoes and background. A label set without limbs gives only background.

    Args:
        keypoints: those of the people in the photo.
        labels: mask values of ``label_set``, (H, W).
    """
    classes = {name: label_set.classes.index(name) for name in (*BONES, *SHOES) if name in label_set.classes}
    result = np.full(labels.shape, label_set.ignore_index, dtype=np.uint8)
    result[labels == 0] = 0
    for name, class_id in classes.items():
        result[labels == class_id] = classes.get(SHOES.get(name, name), class_id)
    painted = np.zeros(labels.shape, dtype=np.uint8)
    for name in (name for name in BONES if name in classes):
        limb = np.zeros(labels.shape, dtype=np.bool_)
        for person in keypoints:
            limb |= lines(person, BONES[name], labels.shape)
        result[limb] = classes[name]
        painted += limb
    result[painted > 1] = label_set.ignore_index
    return result


def lines(person: NDArray[np.float32], pairs: Iterable[tuple[int, int]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels (H, W) on thick lines between those ``pairs`` of a person's keypoints, (17, 3), that are both
    visible."""
    height, width = shape
    points = person[:, :2] * (width, height)
    known = points[person[:, 2] > 0]
    thickness = max(1, round(THICKNESS * np.ptp(known, axis=0).max())) if len(known) else 1
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for ends in pairs:
        if (person[list(ends), 2] == 2).all():
            draw.line([tuple(points[end]) for end in ends], 1, thickness)
    return np.asarray(canvas)
