"""Correct garment labels that name the wrong class.

    python -m experiments.data.slips data/ccp-lip experiments/data/marks/ccp_slips.txt -o runs/taught/ccp-corrected

copies a dataset in LIP's layout and changes the classes that the file of slips names.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from skimage.measure import label as regions_of

from ssnan.labels import LIP

VALUES = {**{name: value for value, name in enumerate(LIP.classes)}, "ignore": LIP.ignore_index}

CHANGE = re.compile(r"(?P<wrong>[a-z-]+)(@(?P<x>[\d.]+),(?P<y>[\d.]+))? > (?P<right>[a-z-]+)")


class Slip(NamedTuple):
    """A class that should be another one.

    Attributes:
        wrong, right: mask values.
        point: x and y in per cent of the photo, on the only region that is wrong; None if the whole class is.
    """

    wrong: int
    right: int
    point: tuple[float, float] | None = None


def read_slips(path: Path) -> dict[str, list[Slip]]:
    """The slips of every photo that has one.

    Raises:
        ValueError: a line is not as it should be; the message says which.
    """
    slips = {}
    for line in path.read_text().splitlines():
        name, _, changes = line.partition(": ")
        found = [CHANGE.fullmatch(change) for change in changes.split(" ; ")]
        if not all(found):
            raise ValueError(f"{path}: {line!r}: expected 'photo: class > class' or 'photo: class@x,y > class'")
        slips[name] = [
            Slip(
                VALUES[match["wrong"]],
                VALUES[match["right"]],
                (float(match["x"]), float(match["y"])) if match["x"] else None,
            )
            for match in found
            if match
        ]
    return slips


def corrected(labels: NDArray[np.uint8], slips: list[Slip]) -> NDArray[np.uint8]:
    """``labels`` (h, w) with all ``slips`` changed at once, so that two classes can change places.

    Raises:
        ValueError: the wrong class is not there, or not at the point.
    """
    result = labels.copy()
    for wrong, right, point in slips:
        where = labels == wrong
        if point is not None:
            height, width = labels.shape
            regions = regions_of(where)
            at = regions[min(int(point[1] * height / 100), height - 1), min(int(point[0] * width / 100), width - 1)]
            where &= regions == at
        if not where.any():
            raise ValueError(f"the mask has no {LIP.classes[wrong]}{'' if point is None else f' at {point}'}")
        result[where] = right
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("slips", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    shutil.copytree(options.data, options.output)
    for name, slips in track(read_slips(options.slips).items(), "masks"):
        (path,) = options.output.rglob(f"{name}.png")
        with Image.open(path) as mask:
            palette, labels = mask.getpalette(), np.asarray(mask)
        try:
            fixed = Image.fromarray(corrected(labels, slips))
        except ValueError as error:
            raise SystemExit(f"{name}: {error}") from None
        fixed.putpalette(palette or [])
        fixed.save(path)


if __name__ == "__main__":
    main()
