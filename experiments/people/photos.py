"""Write the photos of ``lip-photos`` with keypoints as two datasets, with label maps of the bundled model as masks.

    python -m experiments.people.photos data/lip-photos OUTPUT

``OUTPUT/alone`` has the photos in which one person has keypoints, ``OUTPUT/groups`` the others. Photos whose COCO
number has crc32 % 10 = 0 are their val splits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

import ssnan
from experiments.data.grow import write_description
from ssnan.data.folder import photos_by_stem
from ssnan.data.keypoints import read_keypoints


def write(source: Path, output: Path, parser: ssnan.Parser) -> dict[str, int]:
    """Write both datasets; returns how many photos each has."""
    photos, people = photos_by_stem(source / "photos"), read_keypoints(source / "joints.json")
    counts = {}
    for name, several in (("alone", False), ("groups", True)):
        chosen = [photo for photo, points in people.items() if photo in photos and (len(points) > 1) == several]
        masks = output / name / "masks"
        masks.mkdir(parents=True)

        def parse(some: Iterable[str], masks: Path = masks) -> None:
            for photo in some:
                Image.fromarray(parser(photos[photo]).labels).save(masks / f"{photo}.png")

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(parse, (chosen[::2], chosen[1::2])))
        write_description(output / name, source / "photos", chosen, {}, source / "joints.json")
        counts[name] = len(chosen)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="LIP_PHOTOS")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    options = parser.parse_args()
    print(write(options.source, options.output, ssnan.load(threads=1)))


if __name__ == "__main__":
    main()
