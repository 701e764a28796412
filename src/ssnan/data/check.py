"""``ssnan data check``: find errors in a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from ssnan.data.folder import DatasetError, Pair, ParsingFolder, foreign_ids, read_photo
from ssnan.data.layouts import find_split
from ssnan.io.opening import ImageError
from ssnan.labels import LabelSet

SPLITS = ("train", "val")
ALIKE_BITS = 8
"""Photos are near copies if their difference hashes differ in at most this many of 256 bits."""
FEW = 5
"""With fewer validation photos, their numbers mean little."""
TOGETHER = 512
"""Photos of one split that are compared with the other at once; more need more memory."""
FLAT = 4
"""Neighbouring cells with at most this difference in grey levels count as equal."""


@dataclass
class SplitCheck:
    """The results for one split.

    Attributes:
        label_set: label set of its masks.
        listed: number of photos in the list.
        sizes: height and width of every readable photo, (n, 2).
        pixels: number of pixels of every class and then of every set, (C + S,); ``ignored`` counts the ignored value.
        photos: number of photos with each class or set, (C + S,).
        problems: one line per problem.
        files: checksum of every photo, with the id of the first photo that has it.
        looks: id and difference hash of every photo, 256 signs.
        within: one line per duplicate file in the split.
        masks: the files of the masks.
    """

    label_set: LabelSet
    listed: int
    pixels: NDArray[np.int64]
    photos: NDArray[np.int64]
    ignored: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    looks: list[tuple[str, NDArray[np.float32]]] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    masks: set[Path] = field(default_factory=set)


def check_split(root: Path, split: str) -> Iterator[SplitCheck]:
    """Read every photo and mask of a split. Yields the growing result after each, for a progress bar, and at least
    once.

    Raises:
        DatasetError: the folder does not match its layout.
    """
    folder = find_split(root, split)
    zeros = np.zeros(len(folder.label_set) + len(folder.label_set.sets), dtype=np.int64)
    found = SplitCheck(folder.label_set, len(folder.pairs) + len(folder.missing), zeros, zeros.copy())
    found.problems += folder.missing
    masks = [pair.mask for pair in folder.pairs if isinstance(pair.mask, Path) and pair.mask != pair.image]
    found.masks = {file for mask in masks for file in folder.mask_files(mask)}
    yield found
    for pair in folder.pairs:
        try:
            _add(found, folder, pair)
        except (DatasetError, ImageError) as error:
            found.problems.append(str(error))
        yield found


def between(first: SplitCheck, second: SplitCheck) -> list[str]:
    """Lines for photos that two splits share: equal files and near copies."""
    same = [
        f"same file: {first.files[key]} and {second.files[key]}" for key in first.files.keys() & second.files.keys()
    ]
    if first.looks and second.looks:
        ones, others = (np.stack([signs for _, signs in found.looks]) for found in (first, second))
        for start in range(0, len(ones), TOGETHER):
            alike = ones[start : start + TOGETHER] @ others.T >= ones.shape[1] - 2 * ALIKE_BITS
            for i, j in np.argwhere(alike):
                line = f"{first.looks[start + i][0]} and {second.looks[j][0]}"
                if f"same file: {line}" not in same:
                    same.append(f"same look: {line}")
    return sorted(same)


def notes(checks: dict[str, SplitCheck]) -> list[str]:
    """Warnings about splits that are valid but too small to measure or learn from, and about masks that none uses."""
    val, train = checks["val"], checks["train"]
    lines = []
    if len(val.sizes) < FEW:
        count = "a single photo" if len(val.sizes) == 1 else f"{len(val.sizes)} photos"
        lines.append(f"val has {count}: its numbers mean little, but they select the best checkpoint")
    names = [*val.label_set.classes, *(val.label_set.describe(class_set) for class_set in val.label_set.sets)]
    for others, lacking, what in ((train, val, "be measured"), (val, train, "be learned")):
        absent = [name for name, a, b in zip(names, others.photos, lacking.photos, strict=True) if a and not b]
        if absent:
            lines.append(f"{'val' if lacking is val else 'train'} has no {', no '.join(absent)}: cannot {what}")
    used = {mask for found in checks.values() for mask in found.masks}
    if spare := sorted({path for folder in {mask.parent for mask in used} for path in folder.glob("*.png")} - used):
        lines.append(f"masks without a photo in {' or '.join(checks)}: {len(spare)}, for example {spare[0]}")
    return lines


def tables(checks: dict[str, SplitCheck]) -> list[Table]:
    """Tables of counts and sizes of every split, and of the share of every class."""
    summary = Table("", *checks, title="splits")
    by_area = [sorted(found.sizes, key=lambda size: size[0] * size[1]) or [(0, 0)] for found in checks.values()]
    for name, position in (("smallest photo", 0.0), ("median photo", 0.5), ("largest photo", 1.0)):
        chosen = [sizes[round(position * (len(sizes) - 1))] for sizes in by_area]
        summary.add_row(name, *(f"{width} × {height}" for height, width in chosen))
    for name, values in (
        ("listed", [str(found.listed) for found in checks.values()]),
        ("read", [str(len(found.sizes)) for found in checks.values()]),
        ("duplicates", [str(len(found.within)) for found in checks.values()]),
        ("problems", [str(len(found.problems)) for found in checks.values()]),
        ("ignored pixels", [f"{f.ignored / max(1, f.pixels.sum() + f.ignored):.2%}" for f in checks.values()]),
    ):
        summary.add_row(name, *values)
    classes = Table(title="classes: share of the labelled pixels, and photos with them")
    classes.add_column("id", justify="right")
    classes.add_column("class")
    for split in checks:
        classes.add_column(f"{split} %", justify="right")
        classes.add_column(f"{split} photos", justify="right")
    label_set = next(iter(checks.values())).label_set
    names = [(str(class_id), name) for class_id, name in enumerate(label_set.classes)]
    names += [(str(class_set.value), label_set.describe(class_set)) for class_set in label_set.sets]
    for row, (value, name) in enumerate(names):
        cells = []
        for found in checks.values():
            cells += [f"{100 * found.pixels[row] / max(1, found.pixels.sum()):.3f}", str(found.photos[row])]
        classes.add_row(value, name, *cells)
    return [summary, classes]


def _add(found: SplitCheck, folder: ParsingFolder, pair: Pair) -> None:
    image, labels = read_photo(pair.image), folder.read_mask(pair.mask)
    found.sizes.append((image.shape[0], image.shape[1]))
    checksum = hashlib.sha1(pair.image.read_bytes()).hexdigest()
    if checksum in found.files:
        found.within.append(f"{found.files[checksum]} and {pair.id}")
    found.files.setdefault(checksum, pair.id)
    found.looks.append((pair.id, _look(image)))
    if image.shape[:2] != labels.shape:
        raise DatasetError(f"{pair.mask}: is {labels.shape} (rows, columns), but its photo is {image.shape[:2]}")
    if folder.read_instances is not None and (people := folder.read_instances(pair)).shape != labels.shape:
        raise DatasetError(f"{pair.mask}: is {labels.shape} (rows, columns), but its map of people is {people.shape}")
    counts = np.bincount(labels.ravel(), minlength=256)
    if wrong := foreign_ids(labels, folder.label_set):
        raise DatasetError(f"{pair.mask}: has ids {wrong}, which are not classes or sets of {folder.label_set.name!r}")
    known = counts[[*range(len(folder.label_set)), *(class_set.value for class_set in folder.label_set.sets)]]
    found.pixels += known
    found.photos += known > 0
    found.ignored += int(counts[folder.label_set.ignore_index])


def _look(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Difference hash of 16 × 16 cells: +1 if a cell is clearly brighter than the next, otherwise −1."""
    grey = np.asarray(Image.fromarray(image).convert("L").resize((17, 16), Image.Resampling.BILINEAR)).astype(int)
    return np.where(grey[:, :-1] - grey[:, 1:] > FLAT, 1, -1).ravel().astype(np.float32)
