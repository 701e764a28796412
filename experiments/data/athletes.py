"""A dataset from photos with one person's keypoints each and no other label: cut to the person, masks from what our
model says, sides from the keypoints.

    python -m experiments.data.athletes PHOTOS JOINTS.json -o DATASET [--model small] [--part 0/2]

``JOINTS.json`` is what ``keypoints:`` of a dataset takes. As in ``teach.py``, of which this is the cheap form, a limb
gets the side of the bone that it is nearest to, and where the model is unsure the pixel is a set of classes or ignored.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

import ssnan
from experiments.data.evidence import ID, half_size
from experiments.data.grow import write_description
from experiments.data.teach import SETS, taught
from ssnan.data.folder import photos_by_stem
from ssnan.data.keypoints import BONES, read_keypoints
from ssnan.io.images import read_rgb
from ssnan.scores.softmax import softmax
from ssnan.scores.upsampling import resized

MARGIN = 0.3
"""Kept around the keypoints, in shares of their extent."""

LONGEST = 320
"""Of a photo's sides, in pixels."""

FEWEST = 8
"""Known keypoints of a photo that is worth it."""

CROSSED = 0.15
"""Widths of shoulders and hips, in torso lengths, from which their order counts."""

GROUPS = (
    ("background",),
    ("hat", "hair"),
    tuple(BONES),
    ("face", "sunglasses"),
    ("upper-clothes", "dress", "coat", "socks", "pants", "jumpsuits", "scarf", "skirt", "gloves"),
    ("left-shoe", "right-shoe"),
)
"""Our classes in the groups that teach.py expects of its second model."""


def around(person: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box (left, top, right, bottom) in pixels of a photo of ``size`` (width, height) around keypoints (17, 3)."""
    points = person[person[:, 2] > 0, :2] * size
    margin = MARGIN * np.ptp(points, axis=0).max()
    low = np.maximum(points.min(axis=0) - margin, 0).astype(int)
    high = np.minimum(points.max(axis=0) + margin, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def crossed(person: NDArray[np.float32], size: tuple[int, int]) -> bool:
    """Whether shoulders and hips of keypoints (17, 3) have opposite sides: a twisted body, or a mistake."""
    if not (person[[5, 6, 11, 12], 2] > 0).all():
        return False
    left_shoulder, right_shoulder, left_hip, right_hip = person[[5, 6, 11, 12], :2] * size
    torso = (left_shoulder + right_shoulder - left_hip - right_hip) / 2
    length = max(float(np.hypot(*torso)), 1e-6)
    across = np.array([-torso[1], torso[0]]) / length
    shoulders, hips = (left_shoulder - right_shoulder) @ across, (left_hip - right_hip) @ across
    return bool(shoulders * hips < 0 and min(abs(shoulders), abs(hips)) > CROSSED * length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("keypoints", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="small")
    parser.add_argument("--part", default="0/1", help="which part of how many, for several processes (0/1)")
    options = parser.parse_args()
    for folder in ("photos", "masks", "joints"):
        (options.output / folder).mkdir(parents=True, exist_ok=True)
    known = {name: people for name, people in read_keypoints(options.keypoints).items()
             if (people[0, :, 2] > 0).sum() >= FEWEST}  # fmt: skip
    part, parts = map(int, options.part.split("/"))
    model = ssnan.load(options.model, threads=1)
    photos = {name: path for name, path in photos_by_stem(options.photos).items() if name in known}
    for name, path in track(list(photos.items())[part::parts], "photos"):
        if (options.output / "joints" / f"{name}.json").exists():
            continue
        photo = Image.fromarray(read_rgb(path))
        if crossed(known[name][0], photo.size):
            continue
        box = around(known[name][0], photo.size)
        people = known[name].copy()
        people[..., :2] = (people[..., :2] * photo.size - box[:2]) / (box[2] - box[0], box[3] - box[1])
        people[people[..., 2] == 0] = 0
        photo = photo.crop(box)
        photo.thumbnail((LONGEST, LONGEST))
        rgb = np.asarray(photo)
        own = resized(softmax(model.score(model.decode(rgb)).scores), *half_size(rgb.shape[:2]))
        groups = np.stack([own[[ID[name] for name in names]].sum(axis=0) for names in GROUPS])
        photo.save(options.output / "photos" / f"{name}.jpg", quality=92)
        mask = taught(rgb, own, groups, people, None)
        Image.fromarray(mask).save(options.output / "masks" / f"{name}.png", optimize=True)
        (options.output / "joints" / f"{name}.json").write_text(json.dumps(people.round(4).tolist()))
    done = sorted((options.output / "joints").glob("*.json"))
    entries = {}
    for path in done:
        first, *others = json.loads(path.read_text())
        entries[path.stem] = {"joints": first, "others": others}
    (options.output / "joints.json").write_text(json.dumps(entries))
    sets = {value: list(names) for value, names in SETS.items()}
    write_description(options.output, options.output / "photos", list(entries), sets, options.output / "joints.json")


if __name__ == "__main__":
    main()
