"""What is known of each pixel of a photo before anybody marks it: what the bundled model and MediaPipe say, and where
the keypoints lie. ``grow.py`` and ``teach.py`` weigh it.

    python -m experiments.data.evidence selfie_multiclass_256x256.tflite PHOTOS -o EVIDENCE [--model small] [--part 0/2]

writes one ``.npz`` a photo: ``own`` (20, h/2, w/2) and ``mp`` (6, h/2, w/2), probabilities as uint8.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

import ssnan
from ssnan.data.folder import photos_by_stem
from ssnan.data.keypoints import BONES, KEYPOINTS
from ssnan.io.images import read_rgb
from ssnan.labels import LIP
from ssnan.parsing.views import Views
from ssnan.scores.softmax import softmax
from ssnan.scores.upsampling import resized
from tools.mediapipe_teacher import teacher

ID = {name: number for number, name in enumerate(LIP.classes)}
SIDES = LIP.flip_pairs
FLOOR = 0.03
"""Of a probability: no model is so sure that a mark cannot change it."""


VIEWS = Views(scales=(0.85, 1.15), mirror=True)
"""What our model says is the mean over these."""


def half_size(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of evidence for a photo of ``size``."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def group_likelihood(groups: NDArray[np.float32]) -> NDArray[np.float32]:
    """How well each of LIP's classes explains MediaPipe's groups (6, h, w): (20, h, w). By its habits: caps are hair to
    it, shoes and bags "others", necks skin."""
    background, hair, skin, face, clothes, others = groups
    likelihood = np.empty((len(LIP), *groups.shape[1:]), dtype=np.float32)
    likelihood[ID["background"]] = background + 0.6 * others
    likelihood[ID["hat"]] = 0.7 * hair + 0.3 * clothes + 0.5 * others
    likelihood[ID["hair"]] = hair + 0.05 * clothes
    likelihood[ID["gloves"]] = 0.6 * clothes + 0.4 * others + 0.3 * skin
    likelihood[ID["sunglasses"]] = 0.8 * face + 0.5 * others + 0.1 * hair
    for name in ("upper-clothes", "dress", "coat", "pants", "jumpsuits", "skirt"):
        likelihood[ID[name]] = clothes + 0.1 * others
    likelihood[ID["socks"]] = 0.6 * clothes + 0.4 * skin + 0.3 * others
    likelihood[ID["scarf"]] = clothes + 0.2 * others
    likelihood[ID["face"]] = face + 0.6 * skin
    for name in BONES:
        likelihood[ID[name]] = skin + 0.1 * face
    for name in ("left-shoe", "right-shoe"):
        likelihood[ID[name]] = 0.7 * clothes + 0.7 * others + 0.2 * skin + 0.1 * background
    return likelihood


def one_side(own: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (20, h, w) in which both sides of a limb have what they had together: its side is asked of the
    keypoints or of the marks."""
    own = own.copy()
    for left, right in SIDES:
        own[left] = own[right] = own[left] + own[right]
    return own


def bone_distances(people: NDArray[np.float32], size: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
    """Distance of every pixel to the nearest part of a kind that keypoints (n, 17, 3) tell of, in shares of that
    person's extent, (h, w) each: the four limbs, ``left-shoe``, ``right-shoe`` (ankles and beyond), ``face`` and
    ``torso``. Infinite where nobody has one."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32) + 0.5
    far = {
        name: np.full(size, np.inf, dtype=np.float32) for name in (*BONES, "left-shoe", "right-shoe", "face", "torso")
    }
    for person in people:
        points = person[:, :2] * (size[1], size[0])
        known = person[:, 2] > 0
        if known.sum() < 2:
            continue
        extent = max(float(np.ptp(points[known], axis=0).max()), 1.0)
        segments = [(name, a, b) for name, bones in BONES.items() for a, b in bones]
        segments += [
            (f"{side}-shoe", KEYPOINTS.index(f"{side}-ankle"), KEYPOINTS.index(f"{side}-ankle"))
            for side in ("left", "right")
        ]
        segments += [("face", joint, 0) for joint in range(5)]
        segments += [("torso", a, b) for a, b in ((5, 11), (6, 12), (5, 6), (11, 12), (5, 12), (6, 11))]
        for name, a, b in segments:
            if known[a] and known[b]:
                start, end = points[a], points[b]
                if name.endswith("shoe"):  # the foot reaches on from the ankle
                    knee = points[a - 2] if known[a - 2] else start
                    end = start + 0.25 * (start - knee)
                distance = _to_segment(columns, rows, start, end) / extent
            elif name in BONES and (known[a] or known[b]):
                point = points[a] if known[a] else points[b]
                distance = np.hypot(columns - point[0], rows - point[1]) / extent + 0.03
            else:
                continue
            np.minimum(far[name], distance, out=far[name])
    return far


def _to_segment(x: NDArray[np.float32], y: NDArray[np.float32], start: NDArray[np.float32], end: NDArray[np.float32]):
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1e-6)
    share = share.clip(0, 1)
    return np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mediapipe", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="small")
    parser.add_argument("--part", default="0/1", help="which part of how many, for several processes (0/1)")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    own = ssnan.load(options.model, threads=1, views=VIEWS)
    groups_of = teacher(options.mediapipe, 1)
    options.output.mkdir(parents=True, exist_ok=True)
    for stem, path in track(list(photos_by_stem(options.photos).items())[part::parts], "photos"):
        target = options.output / f"{stem}.npz"
        if target.exists():
            continue
        rgb = read_rgb(path)
        size = half_size(rgb.shape[:2])
        small = np.asarray(Image.fromarray(rgb).resize(size[::-1], Image.Resampling.BILINEAR))
        shares = softmax(own.score(own.decode(rgb)).scores)
        both = {"own": resized(shares, *size), "mp": resized(groups_of(small), *size)}
        np.savez(target, **{name: (255 * values).round().astype(np.uint8) for name, values in both.items()})


if __name__ == "__main__":
    main()
