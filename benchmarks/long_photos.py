"""Is a person found in a long photo? Each photo of ``examples/`` in the middle of a light grey canvas, tall and wide:
IoU of the person with the map of the photo alone.

    python benchmarks/long_photos.py [--ratios 4,11]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import ssnan

EXAMPLES = Path(__file__).parents[1] / "examples"
SIDE = 1080
"""Width of a photo, in pixels."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ratios", type=lambda text: tuple(map(int, text.split(","))), default=(4, 11))
    parser = ssnan.load(engine="onnxruntime")
    for ratio in options.parse_args().ratios:
        for path in sorted(p for p in EXAMPLES.iterdir() if p.suffix in (".jpg", ".png")):
            with Image.open(path) as opened:
                photo = opened.convert("RGB").resize((SIDE, round(SIDE * opened.height / opened.width)))
            alone = parser(photo).mask()
            for shape, size in (("tall", (SIDE, SIDE * ratio)), ("wide", (photo.height * ratio, photo.height))):
                canvas = Image.new("RGB", size, (245, 245, 245))
                left, top = (size[0] - photo.width) // 2, (size[1] - photo.height) // 2
                canvas.paste(photo, (left, top))
                found = parser(canvas).mask()[top : top + photo.height, left : left + photo.width]
                iou = (found & alone).sum() / (found | alone).sum()
                print(f"{ratio}:1 {shape}  {path.stem:14} {iou:.2f}")


if __name__ == "__main__":
    main()
