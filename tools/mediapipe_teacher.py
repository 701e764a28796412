"""Label photos with MediaPipe's selfie-multiclass model, as masks to train on.

    mediapipe_teacher.py selfie_multiclass_256x256.tflite PHOTOS -o DATASET

The model has six classes: background, hair, body skin, face skin, clothes and others. Each but "others" stands for one
or several of LIP's classes. A pixel gets them if the probability of the class is at least ``--sure``; the rest is
ignored. With ``--draw``, the class of every pixel is drawn from the probabilities instead. Over many pixels, this is
the loss of soft targets: the expectation of −log p(set drawn) is −Σ p_teacher log p. DATASET gets ``masks/``,
``dataset.yaml`` and ``train.txt``, and reads the photos where they are. benchmarks/README.md says where the model comes
from (Apache-2.0).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from ssnan.data.folder import photos_by_stem
from ssnan.io.images import read_rgb
from ssnan.labels import LIP
from ssnan.scores.upsampling import resized

SKIN = ("face", "left-arm", "right-arm", "left-leg", "right-leg")
WORN = ("gloves", "upper-clothes", "dress", "coat", "socks", "pants", "jumpsuits", "scarf", "skirt", "left-shoe",
        "right-shoe")  # fmt: skip
GROUPS: dict[int, tuple[str, ...]] = {
    0: ("background",),
    1: ("hat", "hair"),  # the model calls caps hair
    2: SKIN,  # includes the neck, for which LIP has no class
    3: ("face", "sunglasses"),
    4: ("hat", *WORN),
}
"""LIP's classes for each of the model's. "Others" (hats, bags, glasses, things in hands) is missing, because it may be
anything."""


def teacher(model: Path, threads: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A function from RGB (H, W, 3) to probabilities (6, H, W): the mean over the photo and its mirror image. Each is
    padded with grey to a square, because the model takes people who are squeezed into one for background."""
    from ai_edge_litert.interpreter import Interpreter  # only to run the model: evidence is read without it

    interpreter = Interpreter(str(model), num_threads=threads)
    interpreter.allocate_tensors()
    [entry], [result] = interpreter.get_input_details(), interpreter.get_output_details()
    _, height, width, _ = entry["shape"]

    def in_square(square: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(entry["index"], square[None])
        interpreter.invoke()
        scores = interpreter.get_tensor(result["index"])[0]
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        return shares / shares.sum(axis=2, keepdims=True)

    def probabilities(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows, columns = (max(1, round(length * height / max(rgb.shape[:2]))) for length in rgb.shape[:2])
        top, left = (height - rows) // 2, (width - columns) // 2
        small = np.asarray(Image.fromarray(rgb).resize((columns, rows), Image.Resampling.BILINEAR))
        square = np.zeros((height, width, 3), dtype=np.float32)
        square[top : top + rows, left : left + columns] = (small - 127.5) / 127.5
        shares = (in_square(square) + in_square(np.ascontiguousarray(square[:, ::-1]))[:, ::-1]) / 2
        cut = np.moveaxis(shares[top : top + rows, left : left + columns], 2, 0)
        return resized(np.ascontiguousarray(cut), *rgb.shape[:2])

    return probabilities


def mask_of(probabilities: NDArray[np.float32], values: NDArray[np.uint8], sure: float) -> NDArray[np.uint8]:
    """Mask values (H, W) for probabilities (6, H, W): those of the likeliest class, ignored below ``sure``."""
    best = probabilities.argmax(axis=0)
    return np.where(probabilities.max(axis=0) >= sure, values[best], LIP.ignore_index).astype(np.uint8)


def drawn_mask(
    probabilities: NDArray[np.float32], values: NDArray[np.uint8], draw: np.random.Generator
) -> NDArray[np.uint8]:
    """Mask values (H, W), each drawn with ``probabilities`` (6, H, W), which sum to 1."""
    level = draw.random(probabilities.shape[1:], dtype=np.float32)
    index = (probabilities.cumsum(axis=0)[:-1] < level).sum(axis=0)
    return values[index]


def description(photos: Path) -> tuple[dict[str, object], NDArray[np.uint8]]:
    """``dataset.yaml``, and the mask value of each of the model's classes."""
    sets: dict[int, list[str]] = {}
    values = np.full(6, LIP.ignore_index, dtype=np.uint8)
    for group, names in GROUPS.items():
        value = LIP.classes.index(names[0]) if len(names) == 1 else 100 + len(sets)
        if len(names) > 1:
            sets[value] = list(names)
        values[group] = value
    pairs = [[LIP.classes[left], LIP.classes[right]] for left, right in LIP.flip_pairs]
    classes = {name: list(color) for name, color in zip(LIP.classes, LIP.palette, strict=True)}
    return {
        "name": LIP.name,
        "images": str(photos.resolve()),
        "masks": "masks",
        "classes": classes,
        "pairs": pairs,
        "sets": sets,
        "splits": {"train": "train.txt"},
    }, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sure", type=float, default=0.8, help="probability from which the model is believed (0.8)")
    parser.add_argument("--draw", action="store_true", help="draw every pixel's class instead")
    parser.add_argument("--limit", type=int, help="stop after this many photos")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.photos.resolve().is_relative_to(options.output.resolve()):
        parser.error(f"-o {options.output}: holds the photos, whose dataset it would replace; choose another folder")
    probabilities = teacher(options.model, options.threads)
    values, codes = description(options.photos)
    (options.output / "masks").mkdir(parents=True, exist_ok=True)
    photos = dict(list(photos_by_stem(options.photos).items())[: options.limit])
    draw = np.random.default_rng(0)
    for stem, path in track(photos.items(), "teaching"):
        rgb = read_rgb(path)
        shares = probabilities(rgb)
        mask = drawn_mask(shares, codes, draw) if options.draw else mask_of(shares, codes, options.sure)
        Image.fromarray(mask).save(options.output / "masks" / f"{stem}.png")
    (options.output / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (options.output / "train.txt").write_text("".join(f"{stem}\n" for stem in photos))


if __name__ == "__main__":
    main()
