"""Write the photos of coco128-seg with people as a dataset in COCO's layout, to measure with ``ssnan evaluate``.

    python -m experiments.people.coco128 COCO128 OUTPUT --without data/lip-photos

COCO128 is the folder ``coco128-seg`` of https://github.com/Goodccccl/yolov8_python at commit 0f2dcc34: a text file a
photo, one object a line, with its class (0 is a person) and a polygon in fractions of the photo's size. Photos that
``--without`` has too are left out. The splits are ``all``, and ``even`` and ``odd`` by the place in the list of photos
with people, those that are left out included. ``large``, ``large-even`` and ``large-odd`` ignore people of less than
96² pixels, which COCO calls medium and small.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LARGE = 96**2
"""Pixels of the smallest large person."""


def area_of(polygon: list[float]) -> float:
    """The pixels of a polygon."""
    x, y = np.array(polygon[::2]), np.array(polygon[1::2])
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def polygons_of(labels: Path, width: int, height: int) -> list[list[float]]:
    """The polygons [x, y, …] of the people in a text file, in pixels."""
    found = []
    for line in labels.read_text().splitlines():
        what, *values = line.split()
        if what == "0":
            found.append([float(v) * (height if i % 2 else width) for i, v in enumerate(values)])
    return found


def known_photos(dataset: Path) -> set[int]:
    """COCO's numbers of the photos whose people are in ``dataset/photos``, as PHOTO_PERSON."""
    return {int(photo.name.partition("_")[0]) for photo in (dataset / "photos").iterdir()}


def write(source: Path, output: Path, known: Collection[int] = ()) -> dict[str, int]:
    """Write the dataset without the photos ``known``, COCO's numbers; returns the number of photos of each split."""
    (output / "annotations").mkdir(parents=True, exist_ok=True)
    (output / "images").mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with_people = 0
    for photo in sorted((source / "images" / "train2017").glob("*.jpg")):
        labels = source / "labels" / "train2017" / f"{photo.stem}.txt"
        with Image.open(photo) as opened:
            width, height = opened.size
        polygons = polygons_of(labels, width, height) if labels.is_file() else []
        number, with_people = with_people, with_people + bool(polygons)
        if polygons and int(photo.stem) not in known:
            images.append({"id": number, "file_name": photo.name, "width": width, "height": height})
            annotations += [
                {"image_id": number, "category_id": 1, "segmentation": [polygon], "area": area_of(polygon)}
                for polygon in polygons
            ]
            shutil.copyfile(photo, output / "images" / photo.name)
    counts = {}
    for split, rests in {"all": {0, 1}, "even": {0}, "odd": {1}}.items():
        chosen = [image for image in images if image["id"] % 2 in rests]
        people = [
            {"id": number} | annotation
            for number, annotation in enumerate(annotations)
            if annotation["image_id"] % 2 in rests
        ]
        counts[split] = len(chosen)
        for name, least in ((split, 0), ("large" if split == "all" else f"large-{split}", LARGE)):
            document = {
                "categories": [{"id": 1, "name": "person"}],
                "images": chosen,
                "annotations": [person | {"iscrowd": int(person["area"] < least)} for person in people],
            }
            (output / "annotations" / f"instances_{name}.json").write_text(json.dumps(document))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="COCO128")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument("--without", type=Path, metavar="DATASET", help="whose photos training has seen")
    options = parser.parse_args()
    known = known_photos(options.without) if options.without else set()
    print(write(options.source, options.output, known))


if __name__ == "__main__":
    main()
