"""Keypoints of the drawn people, as a dataset's file has them."""

import json
from pathlib import Path

import numpy as np

from ssnan.data.keypoints import KEYPOINTS


def people(**places):
    """One person with the joints named, as (x, y) or (x, y, v)."""
    joints = np.zeros((1, len(KEYPOINTS), 3), dtype=np.float32)
    for name, place in places.items():
        joints[0, KEYPOINTS.index(name.replace("_", "-"))] = (*place, 2)[:3]
    return joints


SLEEVED = people(left_shoulder=(0.7, 0.2), left_elbow=(0.7, 0.5), left_wrist=(0.7, 0.8), right_hip=(0.2, 0.1),
                 right_knee=(0.2, 0.9))  # fmt: skip


def entry(person):
    """A photo of ``person`` and of the same once more."""
    return {"joints": person.tolist(), "others": [person.tolist()]}


def write_joints(root: Path, content) -> None:
    """Give the dataset in ``root`` a file of keypoints."""
    (root / "joints.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with (root / "dataset.yaml").open("a") as file:
        file.write("keypoints: joints.json\n")
