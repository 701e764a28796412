"""Keypoints of people, as COCO has them: read from a file, and painted as the limbs that they belong to.

A label map says which side a bare arm has, and nothing of an arm in a sleeve. Keypoints that people drew do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ssnan.data.folder import DatasetError
from ssnan.labels import LabelSet

People = NDArray[np.float32]
"""Keypoints of a picture's people, (n, 17, 3), the main one first: x and y in shares of the picture, which may lie
outside 0..1, and COCO's visibility: 2 seen, 1 hidden, 0 absent."""

JOINTS = (
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
"""Pairs of joints that each limb runs between, by the class of its bare skin."""

SHOES: Mapping[str, str] = {"left-shoe": "left-leg", "right-shoe": "right-leg"}
"""Classes that lie on a limb besides its skin."""

THICKNESS = 0.05
"""Of a painted limb, relative to the extent of the person's keypoints."""


def read_keypoints(path: Path) -> dict[str, NDArray[np.float32]]:
    """People of every picture that a JSON file ``{picture: {"joints": 17 × [x, y, v], "others": [17 × …, …]}}``
    names: :data:`People`, by the picture's name.

    Raises:
        DatasetError: the file cannot be read, or holds something else.
    """
    try:
        entries = json.loads(path.read_text())
        people = {name: [entry["joints"], *entry.get("others", [])] for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: not a file of keypoints ({error!r}); expected {{picture: {{joints: …}}}}"
        ) from None
    result = {}
    for name, found in people.items():
        try:
            result[name] = np.array(found, dtype=np.float32).reshape(len(found), len(JOINTS), 3)
        except (ValueError, TypeError):
            raise DatasetError(f"{path}: {name}: expected {len(JOINTS)} keypoints [x, y, v] a person") from None
    return result


def limb_map(people: People, labels: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """Which limb each pixel shows, clothed or bare, (H, W): the class of the limb's skin, 0 for background, the ignored
    value where nobody knows.

    Bones between two seen keypoints are painted; where limbs cross, the pixel is ignored. Elsewhere the labels
    say what they can: bare limbs, shoes and background. A label set without limbs has nothing but background.

    Args:
        people: keypoints of the picture.
        labels: mask values of ``label_set``, (H, W).
    """
    height, width = labels.shape
    classes = {name: label_set.classes.index(name) for name in (*BONES, *SHOES) if name in label_set.classes}
    result = np.full(labels.shape, label_set.ignore_index, dtype=np.uint8)
    result[labels == 0] = 0
    for name, class_id in classes.items():
        result[labels == class_id] = classes.get(SHOES.get(name, name), class_id)
    painted = np.zeros(labels.shape, dtype=np.uint8)
    for name in (name for name in BONES if name in classes):
        canvas = Image.new("1", (width, height))
        draw = ImageDraw.Draw(canvas)
        for person in people:
            known = person[person[:, 2] > 0, :2] * (width, height)
            thickness = round(THICKNESS * np.ptp(known, axis=0).max()) if len(known) else 0
            for ends in BONES[name]:
                if (person[list(ends), 2] == 2).all():
                    draw.line([(x * width, y * height) for x, y, _ in person[list(ends)]], 1, max(1, thickness))
        limb = np.asarray(canvas)
        result[limb] = classes[name]
        painted += limb
    result[painted > 1] = label_set.ignore_index
    return result
