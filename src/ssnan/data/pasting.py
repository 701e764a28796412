"""Paste cut-out people onto scenes without people, to get groups, half bodies, crowds and backgrounds that a dataset of
single people lacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from ssnan.data.folder import DatasetError, ParsingFolder, Sample, photos_by_stem
from ssnan.io.images import read_rgb
from ssnan.labels import LabelSet


@dataclass
class Pasting:
    """A source of composed photos.

    Attributes:
        scenes: folder of photos without people.
        people: datasets whose people are cut out; their masks must cover everybody in the photo.
        share: how often a composed photo is drawn, relative to the shares of the sources.
        most: the most people in a photo.
        groups: the share of composed photos in which people stand side by side, with heads of similar size; in the
            others they are anywhere and of any size.
    """

    scenes: Path
    people: list[Path]
    share: float
    most: int = 6
    groups: float = 0.0


class Person(NamedTuple):
    """The box around the people of a photo, to be pasted."""

    image: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "h w"]
    shown: Bool[np.ndarray, "h w"]
    cut_below: bool

    def size_at(self, factor: float) -> tuple[int, int]:
        """Rows and columns of the box when it is pasted ``factor`` times as large."""
        height, width = self.shown.shape
        return max(1, round(height * factor)), max(1, round(width * factor))


class Place(NamedTuple):
    """Where a person is pasted: how many times as large, and the row and column of the upper left corner."""

    factor: float
    top: float
    left: float


SIZES = (1 / 3, 2.0)
"""The longer side of a person, relative to the height of the scene."""

HEADS = (1 / 14, 1 / 2.5)
"""The size of the heads in a group, relative to the height of the scene."""

APART = (0.9, 3.0)
"""The distance between neighbours in a group, in heads."""

LEAST_HEAD = 30
"""The fewest pixels of a head that tells how large a person is."""

GAP = 0.08
"""The widest gap in a person to fill, relative to its longer side, such as the neck, which LIP labels background."""

TRIES = 1000
"""Photos without people that are drawn from a dataset before it counts as one without people."""

WHITE = 225
"""A gap with all three channels at least this bright is a studio wall between arm and body."""


class PastedScenes:
    """Scenes with at most ``most`` people; a share of ``groups`` shows a group, and one in twenty of the others stays
    empty. Random numbers come from torch, and samples have the form of :class:`ssnan.data.folder.ParsingFolder`.

    Attributes:
        label_set: ``label_set`` with the sets of all ``folders``.

    Raises:
        DatasetError: there are no scenes.
    """

    def __init__(
        self, scenes: Path, folders: Sequence[ParsingFolder], label_set: LabelSet, most: int = 6, groups: float = 0.0
    ) -> None:
        if not scenes.is_dir() or not (found := photos_by_stem(scenes)):
            raise DatasetError(f"{scenes}: expected a folder of photos without people")
        self.scenes = list(found.values())
        self.folders = folders
        self.label_set = label_set.united(folder.label_set for folder in folders)
        self.relabels = [folder.label_set.values_in(self.label_set) for folder in folders]
        self.most = most
        self.groups = groups

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng(int(torch.randint(2**31, ())))
        image = read_rgb(self.scenes[index]).copy()
        labels, instances = np.zeros((2, *image.shape[:2]), dtype=np.uint8)
        group = self.groups > 0 and random.random() < self.groups
        placed = self._group(labels.shape, random) if group else self._anywhere(labels.shape, random)
        for number, (person, place) in enumerate(placed, start=1):
            window, solid = paste(person, place, image, labels, self.label_set.ignore_index, random)
            instances[window][solid] = number
        return Sample(self.scenes[index].stem, image, labels, instances=instances)

    def _anywhere(self, scene: tuple[int, ...], random: np.random.Generator) -> Iterator[tuple[Person, Place]]:
        """People anywhere in a scene (height, width). Sizes are log-uniform; near people cover far ones."""
        count = 0 if random.random() < 0.05 else 1 + int(self.most * random.random() ** 2)
        people = [self._person(random) for _ in range(count)]
        sizes = np.sort(np.exp(random.uniform(math.log(SIZES[0]), math.log(SIZES[1]), size=count)))
        for person, size in zip(people, sizes, strict=True):
            yield person, anywhere(person, float(size), scene, random)

    def _group(self, scene: tuple[int, ...], random: np.random.Generator) -> list[tuple[Person, Place]]:
        """People side by side in a scene (height, width). Those further down mostly cover the others. People without a
        head are left out."""
        height, width = scene
        head = math.exp(random.uniform(*np.log(HEADS))) * height
        apart = math.exp(random.uniform(*np.log(APART))) * head
        level, x = random.uniform(0, 0.5) * height, random.uniform(-0.2, 0.5) * width
        placed: list[tuple[float, Person, Place]] = []
        for _ in range(int(random.integers(2, max(self.most, 2) + 1))):
            person = self._person(random)
            rows, columns = np.nonzero(self.label_set.head[person.labels])
            if len(rows) < LEAST_HEAD or x > 1.1 * width:
                continue
            extent = 1 + max(np.subtract(*np.percentile(side, [98, 2])) for side in (rows, columns))
            factor = head * math.exp(random.uniform(-0.3, 0.3)) / extent
            top = level + random.normal(0, 0.5) * head - factor * rows.mean()
            tall, wide = person.size_at(factor)
            if person.cut_below:
                top = max(top, height - tall)
            left = x - factor * columns.mean()
            if -tall < round(top) < height and -wide < round(left) < width:
                placed.append((top + tall + random.normal(0, 0.3) * head, person, Place(factor, top, left)))
            x += apart * random.uniform(0.5, 1.5)
        return [(person, place) for _, person, place in sorted(placed, key=lambda one: one[0])]

    def _person(self, random: np.random.Generator) -> Person:
        number = int(random.integers(len(self.folders)))
        folder = self.folders[number]
        for _ in range(TRIES):
            sample = folder[int(random.integers(len(folder)))]
            labels = self.relabels[number][sample.labels]
            if self.label_set.person[labels].any():
                return cut_out(sample.image, labels, self.label_set)
        raise DatasetError(f"data.pasting: nobody in {TRIES} photos beside {sample.id}; expected datasets with people")


def cut_out(image: NDArray[np.uint8], labels: NDArray[np.uint8], label_set: LabelSet) -> Person:
    """Cut out the people of a photo, including pixels between their parts: unlabelled ones, and gaps narrower than
    ``GAP`` unless they are white. These pixels get the ignored value, because their class is unknown."""
    shown = label_set.person[labels] | (labels == label_set.ignore_index)
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut_below = rows[-1] >= len(labels) - 2
    image, labels, shown = image[box], labels[box].copy(), shown[box]
    width = max(3, round(GAP * max(shown.shape)))
    padded = np.pad(shown, width)
    closed = minimum_filter(maximum_filter(padded, size=width), size=width)[width:-width, width:-width]
    shown = shown | (closed & (image < WHITE).any(axis=2))
    labels[shown & ~label_set.person[labels]] = label_set.ignore_index
    return Person(image, labels, shown, bool(cut_below))


def anywhere(person: Person, size: float, scene: tuple[int, ...], random: np.random.Generator) -> Place:
    """A random place in a scene (height, width). The person's longer side is ``size`` times the height of the scene. A
    person cut off by the lower edge of the photo is also cut off by that of the scene."""
    factor = size * scene[0] / max(person.shown.shape)
    height, width = person.size_at(factor)
    top = scene[0] - height * (random.uniform(0.6, 1) if person.cut_below else 1)
    if not person.cut_below:
        top = random.uniform(-0.6 * height, scene[0] - 0.4 * height)
    return Place(factor, top, random.uniform(-0.5 * width, scene[1] - 0.5 * width))


def paste(
    person: Person,
    place: Place,
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    ignore_index: int,
    random: np.random.Generator,
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Paste ``person`` at a place that is at least partly in the scene, in place. ``random`` decides how much the
    person adapts to the light of the scene.

    Returns:
        The rows and columns that the person may cover, and where they do.
    """
    height, width = person.size_at(place.factor)
    top, left = round(place.top), round(place.left)
    rows = slice(max(0, top), min(labels.shape[0], top + height))
    columns = slice(max(0, left), min(labels.shape[1], left + width))
    inside = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)

    def resized(values: NDArray[np.uint8], mode: Image.Resampling) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(values).resize((width, height), mode))[inside]

    pixels = resized(person.image, Image.Resampling.BILINEAR).astype(np.float32)
    cover = resized(person.shown.astype(np.uint8) * 255, Image.Resampling.BILINEAR).astype(np.float32)[..., None] / 255
    names = resized(person.labels, Image.Resampling.NEAREST)
    scene = image[rows, columns].astype(np.float32)
    # Adapt the person partly to the light of the scene.
    light = (scene.mean(axis=(0, 1)) + 20) / (pixels.mean(axis=(0, 1)) + 20)
    pixels = pixels * np.clip(light ** random.uniform(0, 0.5), 0.5, 1.5)
    image[rows, columns] = np.clip(cover * pixels + (1 - cover) * scene, 0, 255).round()
    solid = cover[..., 0] >= 0.5
    # Edge pixels that show the person but get background from nearest-neighbour labels are ignored.
    labels[rows, columns] = np.where(solid, np.where(names == 0, ignore_index, names), labels[rows, columns])
    return (rows, columns), solid
