"""Write the photos of coco128-seg with people as a dataset in COCO's layout, to measure with ``ssnan evaluate``.

    python -m experiments.people.coco128 COCO128 OUTPUT

COCO128 is the folder ``coco128-seg`` of https://github.com/Goodccccl/yolov8_python at commit 0f2dcc34: a text file a
photo, one object a line, with its class (0 is a person) and a polygon in fractions of the photo's size. The splits are
``all``, and ``even`` and ``odd`` by the place in the list of photos with people.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image


def polygons_of(labels: Path, width: int, height: int) -> list[list[float]]:
    """The polygons [x, y, …] of the people in a text file, in pixels."""
    found = []
    for line in labels.read_text().splitlines():
        what, *values = line.split()
        if what == "0":
            found.append([float(v) * (height if i % 2 else width) for i, v in enumerate(values)])
    return found


def write(source: Path, output: Path) -> dict[str, int]:
    """Write the dataset; returns the number of photos of each split."""
    (output / "annotations").mkdir(parents=True, exist_ok=True)
    (output / "images").mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for photo in sorted((source / "images" / "train2017").glob("*.jpg")):
        labels = source / "labels" / "train2017" / f"{photo.stem}.txt"
        width, height = Image.open(photo).size
        polygons = polygons_of(labels, width, height) if labels.is_file() else []
        if polygons:
            number = len(images)
            images.append({"id": number, "file_name": photo.name, "width": width, "height": height})
            annotations += [{"image_id": number, "category_id": 1, "segmentation": [one]} for one in polygons]
            shutil.copyfile(photo, output / "images" / photo.name)
    chosen = {"all": {0, 1}, "even": {0}, "odd": {1}}
    for split, rests in chosen.items():
        document = {
            "categories": [{"id": 1, "name": "person"}],
            "images": [one for one in images if one["id"] % 2 in rests],
            "annotations": [
                {"id": i, "iscrowd": 0} | one for i, one in enumerate(annotations) if one["image_id"] % 2 in rests
            ],
        }
        (output / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    return {split: sum(one["id"] % 2 in rests for one in images) for split, rests in chosen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="COCO128")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    options = parser.parse_args()
    print(write(options.source, options.output))


if __name__ == "__main__":
    main()
