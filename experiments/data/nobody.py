"""Photos that show nobody, as a dataset whose every pixel is background: given photos, and canvases drawn here.

    python -m experiments.data.nobody PHOTOS... -o DATASET [--canvases 300]

Each folder of photos may hold a ``train.txt`` and ``val.txt`` beside it, which are kept; without them all its photos
train. Canvases are plain, graded, noisy, striped or full of shapes and letters: what a model should find nobody in.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from experiments import description
from ssnan.data.custom import BACKGROUND
from ssnan.data.folder import photos_by_stem
from ssnan.labels import LIP


def canvas(random: np.random.Generator) -> Image.Image:
    """One drawing, 128 to 320 pixels wide and high."""
    width, height = (int(side) for side in random.integers(128, 321, size=2))
    kind = random.integers(6)

    def color() -> tuple[int, ...]:
        return tuple(int(level) for level in random.integers(0, 256, size=3))

    if kind == 0:
        plain = random.random()
        return Image.new(
            "RGB", (width, height), (0, 0, 0) if plain < 0.3 else (255, 255, 255) if plain < 0.5 else color()
        )
    start, end = np.array(color(), dtype=np.float32), np.array(color(), dtype=np.float32)
    if kind == 1:
        share = (
            np.linspace(0, 1, height)[:, None, None] * random.random()
            + np.linspace(0, 1, width)[None, :, None] * random.random()
        )
        return image_of(start + (end - start) * share.clip(0, 1))
    if kind == 2:
        noise = random.normal(0, 60, size=(height, width, 3 if random.random() < 0.5 else 1))
        return image_of(start + noise).filter(ImageFilter.GaussianBlur(float(random.choice([0, 1, 4, 12]))))
    if kind == 3:
        period = random.uniform(4, 60)
        wave = np.sin(
            2 * np.pi * (np.arange(width)[None] * random.uniform(-1, 1) + np.arange(height)[:, None]) / period
        )
        return image_of(start + (end - start) * (wave > 0)[..., None])
    result = Image.new("RGB", (width, height), color())
    draw = ImageDraw.Draw(result)
    for _ in range(int(random.integers(3, 30))):
        x, y = (float(random.uniform(-0.2, 1) * side) for side in (width, height))
        w, h = (float(size) for size in random.uniform(5, 150, size=2))
        if kind == 4:
            shape = (draw.ellipse, draw.rectangle, draw.rounded_rectangle)[int(random.integers(3))]
            shape([x, y, x + w, y + h], fill=color())
        else:
            letters = "".join(chr(int(code)) for code in random.integers(65, 123, size=int(random.integers(1, 12))))
            draw.text((x, y), letters, fill=color(), font=ImageFont.load_default(float(random.uniform(8, 60))))
    return result


def image_of(values: NDArray[np.floating]) -> Image.Image:
    """RGB of an array (H, W, 1 or 3), cut to 0..255."""
    return Image.fromarray(np.broadcast_to(values, (*values.shape[:2], 3)).clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--canvases", type=int, default=300)
    options = parser.parse_args()
    target = options.output / "photos"
    target.mkdir(parents=True, exist_ok=True)
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for folder in options.photos:
        photos = photos_by_stem(folder)
        held = folder.parent / "val.txt"
        val = {Path(line.strip()).stem for line in held.read_text().splitlines()} if held.is_file() else set()
        for name, path in photos.items():
            link = target / f"{folder.parent.name}-{path.name}"
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
            lists["val" if name in val else "train"].append(link.stem)
    random = np.random.default_rng(0)
    for number in range(options.canvases):
        name = f"canvas-{number:04d}"
        canvas(random).save(target / f"{name}.png")
        lists["train"].append(name)
    description.write(options.output, LIP, lists, masks=BACKGROUND)


if __name__ == "__main__":
    main()
