"""Masks from strokes: each pixel goes to the stroke that is near in place and colour, weighed against what models say.

    python -m experiments.data.grow MARKS.txt PHOTOS EVIDENCE -o DATASET [--keypoints JOINTS.json]

DATASET gets ``masks/``, ``dataset.yaml``, ``train.txt`` and ``val.txt`` (crc32 of the name's first number % 10 = 0) and
reads the photos where they are. Mask values: LIP's ids, 100 for another person, 255 where nothing is sure.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from skimage.graph import MCP_Geometric

from experiments import description
from experiments.data.evidence import FLOOR, ID, bone_distances, group_likelihood, half_size, one_side
from experiments.data.marks import OTHER, SKIN, Stroke, drawn, read_marks, with_sides
from ssnan.data.folder import NOBODY, photos_by_stem
from ssnan.data.keypoints import BONES, read_keypoints
from ssnan.io.images import read_rgb
from ssnan.labels import LIP

OWN, GROUPS, NEAR, BONE = 0.5, 1.5, 1.0, 0.5
"""Weights of our model, MediaPipe, the strokes' distance and the keypoints'."""

REACH = 0.06
"""Distance at which a stroke has lost one unit of log-probability, in photo diagonals of even colour."""

SURE = 0.6
"""Probability from which a pixel that no stroke touches is kept."""


def grown(
    rgb: NDArray[np.uint8],
    own: NDArray[np.float32],
    groups: NDArray[np.float32],
    strokes: list[Stroke],
    people: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Mask values (H, W) of a photo; probabilities (20, h, w) and (6, h, w) come at half its size."""
    size = own.shape[1:]
    small = cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)
    values = sorted({0, *(stroke.value for stroke in strokes)})
    likelihood, own_sides = group_likelihood(groups), one_side(own)
    marks = drawn(strokes, size)
    lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), 0.7)
    slope = sum(
        cv2.Sobel(lab[..., c], cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(lab[..., c], cv2.CV_32F, 0, 1) ** 2 for c in range(3)
    )
    cost = (1 + 0.35 * np.sqrt(slope) / 8) / np.hypot(*size)
    far = bone_distances(people[:1], size)
    sure_background = (groups[0] > 0.85) & (own[0] > 0.9) & (marks == 254)

    logs = []
    for value in values:
        if value < len(LIP):
            log = OWN * np.log(own_sides[value] + FLOOR) + GROUPS * np.log(likelihood[value] + 0.05)
        else:  # somebody, or some skin
            part = likelihood[ID["left-arm"]] if value == SKIN else 1 - groups[0]
            log = OWN * np.log(1 - own[0] + FLOOR) + GROUPS * np.log(part + 0.05)
        seeds = np.argwhere((marks == value) | (sure_background if value == 0 else False))
        if len(seeds):
            distance, _ = MCP_Geometric(cost).find_costs(seeds)
            log = log - NEAR * distance.astype(np.float32) / REACH
        else:
            log = log - 8
        name = LIP.classes[value] if value < len(LIP) else ""
        if name in far and name in (*BONES, "left-shoe", "right-shoe"):
            log = log - BONE * np.minimum(far[name], 0.4) / 0.1 * np.isfinite(far[name])
        logs.append(log)
    shares = np.exp(np.stack(logs) - np.max(logs, axis=0))
    shares /= shares.sum(axis=0)
    full = np.stack([cv2.resize(share, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR) for share in shares])
    full = guided(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255, full)
    mask = np.array(values, dtype=np.uint8)[full.argmax(axis=0)]
    unsure = full.max(axis=0) / full.sum(axis=0).clip(1e-6) < SURE
    # Somebody whom nobody marked is not background, unless a background mark says so.
    somebody = (own[0] < 0.5) & (groups[0] < 0.5)
    if len(seeds := np.argwhere(marks == 0)):
        somebody &= MCP_Geometric(cost).find_costs(seeds)[0] > 1.5 * REACH
    unsure |= (mask == 0) & (cv2.resize(somebody.astype(np.uint8), rgb.shape[1::-1]) > 0)
    mask[unsure] = LIP.ignore_index
    touched = drawn(strokes, rgb.shape[:2])
    return np.where(touched == 254, mask, touched).astype(np.uint8)


def guided(guide: NDArray[np.float32], maps: NDArray[np.float32], epsilon: float = 1e-3) -> NDArray[np.float32]:
    """``maps`` (n, H, W) with the edges of ``guide`` (H, W): He et al., Guided Image Filtering, ECCV 2010."""
    radius = max(2, int(0.008 * np.hypot(*guide.shape)))

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1))

    average = mean(guide)
    variance = mean(guide * guide) - average**2
    result = np.empty_like(maps)
    for index, values in enumerate(maps):
        level = mean(values)
        factor = (mean(guide * values) - average * level) / (variance + epsilon)
        result[index] = mean(factor) * guide + mean(level - factor * average)
    return result.clip(0)


def write_description(
    output: Path, photos: Path, names: list[str], sets: dict[int, list[str]], keypoints: Path | None
) -> None:
    """``dataset.yaml`` and the lists of a dataset whose masks lie in ``output/masks``."""
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for name in names:
        lists["val" if zlib.crc32(name.split("_")[0].encode()) % 10 == 0 else "train"].append(name)
    points = keypoints and str(keypoints.resolve())
    description.write(output, LIP, lists, images=str(photos.resolve()), sets=sets, keypoints=points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("marks", type=Path, nargs="+")
    parser.add_argument("photos", type=Path)
    parser.add_argument("evidence", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--keypoints", type=Path)
    options = parser.parse_args()
    (options.output / "masks").mkdir(parents=True, exist_ok=True)
    people = read_keypoints(options.keypoints) if options.keypoints else {}
    photos = photos_by_stem(options.photos)
    marked = [mark for path in options.marks for mark in read_marks(path) if mark.name in photos]
    for name, strokes in track(marked, "growing"):
        target = options.output / "masks" / f"{name}.png"
        if target.exists():
            continue
        rgb = read_rgb(photos[name])
        found = np.load(options.evidence / f"{name}.npz")
        own, groups = (found[key].astype(np.float32) / 255 for key in ("own", "mp"))
        assert own.shape[1:] == half_size(rgb.shape[:2])
        strokes, _, _ = with_sides(strokes, people.get(name, NOBODY))
        Image.fromarray(grown(rgb, own, groups, strokes, people.get(name, NOBODY))).save(target, optimize=True)
    write_description(
        options.output,
        options.photos,
        [mark.name for mark in marked],
        {OTHER: list(LIP.classes[1:])},
        options.keypoints,
    )


if __name__ == "__main__":
    main()
