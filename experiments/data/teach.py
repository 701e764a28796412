"""Masks for photos that nobody has marked: what two models say, bounded by keypoints and by the owners' words.

    python -m experiments.data.teach PHOTOS EVIDENCE -o DATASET [--keypoints JOINTS.json] [--tags TAGS.json]
        [--without MARKS.txt ...]

A limb gets the side of the bone it is nearest to. Without keypoints for it, and without ``--tags``, a limb pixel is the
set of both sides. A class whose word is missing cannot win. Where the models are unsure the pixel is the set of a group
(hats and hair, skin, clothes), and where these are unsure too it is ignored. ``--without`` leaves the photos of these
marks out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from experiments.data.evidence import FLOOR, ID, SIDES, bone_distances, group_likelihood, one_side
from experiments.data.grow import guided, write_description
from experiments.data.marks import read_marks
from ssnan.data.folder import NOBODY, photos_by_stem
from ssnan.data.keypoints import BONES, read_keypoints
from ssnan.io.images import read_rgb
from ssnan.labels import LIP

OWN, GROUPS = 0.7, 1.0
"""Weights of our model and of MediaPipe."""

SURE, SURE_OF_GROUP = 0.65, 0.8
"""Probabilities from which a class, and a group of MediaPipe's, is believed."""

HEAD = ("hat", "hair")
SKIN = ("face", *BONES)
WORN = ("gloves", "upper-clothes", "dress", "coat", "socks", "pants", "jumpsuits", "scarf", "skirt", "left-shoe",
        "right-shoe")  # fmt: skip
SETS = {101: ("left-arm", "right-arm"), 102: ("left-leg", "right-leg"), 103: ("left-shoe", "right-shoe"), 104: HEAD,
        105: SKIN, 106: ("hat", *WORN)}  # fmt: skip
GROUP_VALUES = np.array([0, 104, 105, 13, 106, 255], dtype=np.uint8)
"""Mask value of each of MediaPipe's groups."""

WORDS: dict[str, tuple[str, ...]] = {
    "hat": ("hat",),
    "gloves": ("gloves",),
    "sunglasses": ("sunglasses", "glasses"),
    "upper-clothes": ("blouse", "shirt", "t-shirt", "sweater", "sweatshirt", "hoodie", "top", "vest", "jumper",
                      "cardigan", "bra", "suit"),
    "dress": ("dress",),
    "coat": ("blazer", "jacket", "coat", "cape", "suit", "cardigan"),
    "socks": ("socks", "stockings", "tights"),
    "pants": ("jeans", "shorts", "leggings", "pants", "stockings", "tights", "suit"),
    "jumpsuits": ("romper", "bodysuit"),
    "scarf": ("scarf",),
    "skirt": ("skirt",),
}  # fmt: skip
"""Owners' words that allow a class; classes beside these are always allowed."""


def taught(
    rgb: NDArray[np.uint8],
    own: NDArray[np.float32],
    groups: NDArray[np.float32],
    people: NDArray[np.float32],
    words: frozenset[str] | None,
) -> NDArray[np.uint8]:
    """Mask values (H, W) of a photo; probabilities (20, h, w) and (6, h, w) come at half its size.

    Args:
        people: keypoints, (n, 17, 3); none where they are not known.
        words: its owner's; None where there are none.
    """
    sides_from_model = words is not None  # street photos from the front, whose sides the model knows
    merged = own if sides_from_model else one_side(own)
    logs = OWN * np.log(merged + FLOOR) + GROUPS * np.log(group_likelihood(groups) + 0.05)
    if words is not None:
        for name, allowing in WORDS.items():
            if not words & set(allowing):
                logs[ID[name]] = -20
    if len(people):
        far = bone_distances(people, own.shape[1:])
        for name in (*BONES, "left-shoe", "right-shoe", "face"):
            logs[ID[name]] -= 8 * np.minimum(far[name], 0.5)
        nearest = np.stack([far[name] for name in BONES])
        by_leg = (nearest[2:].min(axis=0) < 0.8 * np.minimum(nearest[:2].min(axis=0), far["torso"])) & np.isfinite(
            nearest[2:].min(axis=0)
        )
        by_top = (far["torso"] < 0.05) & (nearest[2:].min(axis=0) > 0.12)
        for name in ("hat", "hair", "gloves", "scarf", "upper-clothes"):
            logs[ID[name]] -= 1.0 * by_leg
        for name in ("pants", "socks", "left-shoe", "right-shoe", "skirt"):
            logs[ID[name]] -= 1.5 * by_top
    shares = np.exp(logs - logs.max(axis=0))
    shares /= shares.sum(axis=0)
    size = rgb.shape[1::-1]
    full = np.stack([cv2.resize(share, size, interpolation=cv2.INTER_LINEAR) for share in (*shares, *groups)])
    full = guided(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255, full)
    full, group = full[: len(LIP)], full[len(LIP) :]
    total = full.sum(axis=0).clip(1e-6)
    mask = full.argmax(axis=0).astype(np.uint8)
    share = full.max(axis=0) / total
    for value, (left, right) in zip((101, 102, 103), SIDES, strict=True):
        limb = (mask == left) | (mask == right)
        of_limb = (full[left] + full[right]) / total
        unclear = limb & (np.maximum(full[left], full[right]) < 0.6 * (full[left] + full[right]))
        share[limb] = of_limb[limb]
        mask[unclear] = value
    best = group.argmax(axis=0)
    of_group = np.where(group.max(axis=0) >= SURE_OF_GROUP * group.sum(axis=0), GROUP_VALUES[best], 255)
    unsure = share < SURE
    unsure |= (mask == 0) & ((full[0] < 0.5 * total) | (group[0] < 0.5 * group.sum(axis=0)))
    # A set that does not hold what the models together think likeliest says nothing.
    member = np.zeros((256, 256), dtype=bool)
    for value, names in SETS.items():
        member[value, [ID[name] for name in names]] = True
    if len(people):  # a bare chest or back is of no class
        for name in BONES:
            beyond = (far["torso"] < far[name]) & (far[name] > 0.07)
            mask[(mask == ID[name]) & (cv2.resize(beyond.astype(np.uint8), size) > 0)] = 255
        on_bone = cv2.resize(np.min([far[name] for name in BONES], axis=0), size) < 0.02
        mask[(mask == 0) & on_bone] = 255  # both models miss the limb
        inside = cv2.resize(far["torso"], size) < 0.04
        of_group[(of_group == 105) & inside] = 255
    mask[unsure] = np.where(member[of_group, mask] | (of_group == 0) & (mask == 0), of_group, 255)[unsure]
    return mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("evidence", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--keypoints", type=Path)
    parser.add_argument("--tags", type=Path)
    parser.add_argument("--without", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    (options.output / "masks").mkdir(parents=True, exist_ok=True)
    people = read_keypoints(options.keypoints) if options.keypoints else {}
    tags = json.loads(options.tags.read_text()) if options.tags else {}
    marked = {mark.name for path in options.without for mark in read_marks(path)}
    photos = {name: path for name, path in photos_by_stem(options.photos).items() if name not in marked}
    for name, path in track(photos.items(), "teaching"):
        found = np.load(options.evidence / f"{name}.npz")
        own, groups = (found[key].astype(np.float32) / 255 for key in ("own", "mp"))
        words = frozenset(tags[name]) if name in tags else None
        mask = taught(read_rgb(path), own, groups, people.get(name, NOBODY), words)
        Image.fromarray(mask).save(options.output / "masks" / f"{name}.png", optimize=True)
    sets = {value: list(names) for value, names in SETS.items()}
    write_description(options.output, options.photos, list(photos), sets, options.keypoints)


if __name__ == "__main__":
    main()
