"""Strokes on photos: read, drawn as sheets to mark on, checked against keypoints.

    python -m experiments.data.marks sheets PHOTO... -o SHEETS    # four photos on a sheet, and index.txt
    python -m experiments.data.marks check marks/*.txt --keypoints JOINTS.json

``marks/README.md`` says what a line holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from experiments.data.evidence import ID, SIDES, bone_distances
from ssnan.data.keypoints import read_keypoints

OTHER, SKIN = 100, 255
"""Values for ``other``, which is another person, and ``skin``, the bare torso that LIP has no class for."""

VALUES = ID | {"other": OTHER, "skin": SKIN}

OTHER_SIDE = {side: other for pair in SIDES for side, other in (pair, pair[::-1])}

CLEARLY = 0.04
"""How much nearer to one side's bones than to the other's a stroke must be before the keypoints overrule the marker, in
shares of the person's extent."""


class Stroke(NamedTuple):
    """A chain of points (x, y), in per cent of the photo, on one part."""

    value: int
    points: list[tuple[float, float]]


class Marked(NamedTuple):
    """One line: a photo and its strokes."""

    name: str
    strokes: list[Stroke]


def read_marks(path: Path) -> Iterator[Marked]:
    """The photos of a file of marks; those marked ``skip`` are left out.

    Raises:
        ValueError: a line is not as it should be; the message says which.
    """
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        name, *_, body = (part.strip() for part in line.split("|")) if "|" in line else ("", "skip")
        if body == "skip":
            continue
        try:
            strokes = [
                Stroke(
                    VALUES[part.strip()],
                    [(float(x), float(y)) for x, y in (point.split(",") for point in chain.split())],
                )
                for part, _, chains in (item.partition(":") for item in body.split(";") if item.strip())
                for chain in chains.split("/")
                if chain.strip()
            ]
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: line {number} ({name}): {error!r}") from None
        yield Marked(name, strokes)


def with_sides(strokes: list[Stroke], people: NDArray[np.float32]) -> tuple[list[Stroke], int, int]:
    """Strokes with the side that the main person's keypoints give them where these are clear.

    Returns:
        The strokes, how many could be judged, and how many of those changed sides.
    """
    far = bone_distances(people[:1], (100, 100))
    names = {number: name for name, number in ID.items()}
    result, judged, turned = [], 0, 0
    for stroke in strokes:
        if stroke.value in OTHER_SIDE:
            places = np.clip([(int(y), int(x)) for x, y in stroke.points], 0, 99).T
            own, other = (far[names[value]][tuple(places)].mean() for value in (stroke.value, OTHER_SIDE[stroke.value]))
            if np.isfinite(own) and np.isfinite(other) and abs(own - other) > CLEARLY:
                judged += 1
                if other < own:
                    turned += 1
                    stroke = Stroke(OTHER_SIDE[stroke.value], stroke.points)
        result.append(stroke)
    return result, judged, turned


def drawn(strokes: list[Stroke], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Strokes as a map of (rows, columns) = ``size``; 254 where there is none."""
    canvas = Image.new("L", size[::-1], 254)
    draw = ImageDraw.Draw(canvas)
    width = max(2.0, 0.012 * min(size))
    for value, points in strokes:
        pixels = [(x * size[1] / 100, y * size[0] / 100) for x, y in points]
        if len(pixels) == 1:
            [(x, y)] = pixels
            draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=value)
        else:
            draw.line(pixels, fill=value, width=round(width))
    return np.array(canvas)


def panel(path: Path, width: int, height: int) -> Image.Image:
    """A photo with a grid and its name, in a box of ``width`` × ``height``."""
    photo, margin = Image.open(path).convert("RGB"), 22
    factor = min((width - 2 * margin) / photo.width, (height - 2 * margin - 14) / photo.height)
    photo = photo.resize((max(1, round(photo.width * factor)), max(1, round(photo.height * factor))))
    grid = Image.new("RGBA", photo.size, (0, 0, 0, 0))
    lines = ImageDraw.Draw(grid)
    for at in range(10, 100, 10):
        color = (255, 255, 0, 110 if at == 50 else 60)
        x, y = photo.width * at / 100, photo.height * at / 100
        lines.line([(x, 0), (x, photo.height)], fill=color)
        lines.line([(0, y), (photo.width, y)], fill=color)
    result = Image.new("RGB", (width, height), "white")
    left, top = margin, margin + 12
    result.paste(Image.alpha_composite(photo.convert("RGBA"), grid).convert("RGB"), (left, top))
    text = ImageDraw.Draw(result)
    small = ImageFont.load_default(10)
    for at in range(0, 101, 10):
        if photo.width >= 170 or at % 20 == 0:
            text.text((left + photo.width * at / 100 - 6, top - 13), str(at), fill="black", font=small)
        text.text((2, top + photo.height * at / 100 - 6), str(at), fill="black", font=small)
    text.text((left, 0), path.stem, fill="red", font=ImageFont.load_default(13))
    return result


def sheets(photos: list[Path], output: Path) -> None:
    """Write sheets of four photos each, narrow photos side by side, and ``index.txt``."""
    output.mkdir(parents=True, exist_ok=True)
    narrow = {path for path in photos if (size := Image.open(path).size)[0] / size[1] < 0.72}
    index: list[str] = []
    for group, columns, width, height in (
        ([path for path in photos if path in narrow], 4, 350, 850),
        ([path for path in photos if path not in narrow], 2, 700, 430),
    ):
        for first in range(0, len(group), 4):
            sheet = Image.new("RGB", (1400, 860), "white")
            for place, path in enumerate(group[first : first + 4]):
                sheet.paste(panel(path, width, height), (place % columns * width, place // columns * height))
            name = f"sheet_{len(index):03d}"
            sheet.save(output / f"{name}.png")
            index.append(f"{name}: {' '.join(path.stem for path in group[first : first + 4])}")
    (output / "index.txt").write_text("\n".join(index) + "\n")


def check(files: list[Path], keypoints: Path) -> None:
    """Print, file by file, how many photos there are and how many strokes carry the side that keypoints give them."""
    people = read_keypoints(keypoints)
    for path in files:
        photos = list(read_marks(path))
        counts = [with_sides(photo.strokes, people[photo.name])[1:] for photo in photos if photo.name in people]
        judged, turned = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
        print(f"{path}: {len(photos)} photos; sides right in {judged - turned} of {judged} strokes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("sheets")
    one.add_argument("photos", type=Path, nargs="+")
    one.add_argument("-o", "--output", type=Path, required=True)
    one = commands.add_parser("check")
    one.add_argument("marks", type=Path, nargs="+")
    one.add_argument("--keypoints", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "sheets":
        sheets(options.photos, options.output)
    else:
        check(options.marks, options.keypoints)


if __name__ == "__main__":
    main()
