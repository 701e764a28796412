"""ParsingResult: a label map, and everything derived from it; and Person, the result of one person of a photo."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.errors import quoted, unknown
from ssnan.io.images import ImageLike, read_reduced, read_unflattened
from ssnan.io.masks import palette_image, read_labels
from ssnan.io.opening import ImageError
from ssnan.io.storing import Stored, load, save
from ssnan.labels import LabelSet
from ssnan.results.colors import distinct
from ssnan.results.detections import Segment, detections, of_people, segments
from ssnan.results.document import VERSION, Box, Document, PersonEntry, described
from ssnan.results.geometry import center_of, extent_of
from ssnan.results.people import alone, find
from ssnan.results.people_images import people_over
from ssnan.results.remapping import Remapping, remapping
from ssnan.results.render import legend, map_over, with_contours, with_names
from ssnan.scores.upsampling import confidence_at, probability_at

if TYPE_CHECKING:
    from supervision import Detections

TRANSPARENT, SOLID = 0.25, 0.75
"""The probabilities at which the edge of a cutout is fully transparent and fully opaque."""


@dataclass(frozen=True, eq=False, repr=False)
class ParsingResult:
    """The label map of one photo.

    Attributes:
        labels: class id of every pixel, uint8 (H, W), at the photo's size.
        label_set: the label set of the ids.
        scores: class scores at the network's stride, float32 (C, h, w); None for a map from a file.
        source: the photo as it was given; None for a map from a file. Its pixels are read again when needed, so that
            many results do not hold many photos in memory.
        instances: the person at every pixel, as in :attr:`people_map`, if it is already known.
        tracks: the track of each number in ``instances``, from 1 on, in a frame of a video; None otherwise.
        instance_maps: what an instance head returned, float32 (3, p, q), see :mod:`ssnan.scores.grouping`; None if the
            network has none.
    """

    labels: NDArray[np.uint8]
    label_set: LabelSet
    scores: NDArray[np.float32] | None = None
    source: ImageLike | None = None
    instances: NDArray[np.uint8] | None = None
    tracks: tuple[int, ...] | None = None
    instance_maps: NDArray[np.float32] | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ParsingResult:
        """Read a file of :meth:`save`: a PNG with labels and label set, or an .npz file with scores and people too.

        Raises:
            ImageError: the file cannot be read, or contains no label set.
        """
        stored = load(Path(path))
        return cls(stored.labels, stored.label_set, stored.scores, instances=stored.people)

    @classmethod
    def from_png(cls, path: str | os.PathLike[str], label_set: LabelSet) -> ParsingResult:
        """Read a mask of any origin, see :func:`ssnan.io.masks.read_labels`.

        Raises:
            ImageError: the file is not a mask.
        """
        return cls(read_labels(Path(path), label_set), label_set)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = sorted(((area / self.labels.size, name) for name, area in self.areas.items()), reverse=True)
        parts = ", ".join(f"{name} {share:.1%}" for share, name in shares if name != self.label_set.classes[0])
        return f"ParsingResult({width} × {height}, {self.label_set.name}: {parts or 'nobody found'})"

    def _repr_png_(self) -> bytes:
        """The image in a notebook: the overlay, or the map alone if there is no photo."""
        buffer = io.BytesIO()
        shown = self.to_image() if self.source is None else map_over(self.photo, self.labels, self.label_set)
        shown.thumbnail((800, 800))
        shown.save(buffer, format="PNG")
        return buffer.getvalue()

    @property
    def photo(self) -> NDArray[np.uint8]:
        """The photo, uint8 RGB (H, W, 3).

        Raises:
            ValueError: the result is from a file, which has no photo.
            ImageError: the photo no longer exists, or has another size now.
        """
        return self.reduced_photo(None)

    def reduced_photo(self, longest_side: int | None) -> NDArray[np.uint8]:
        """As :attr:`photo`, but reduces a large photo to a longer side of at least ``longest_side``.

        Raises:
            ValueError, ImageError: as :attr:`photo`.
        """
        rgb, height, width = read_reduced(self._source(), longest_side)
        self._refuse_another(height, width)
        return rgb

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class at every pixel, float32 (H, W), 0..1.

        Raises:
            ValueError: the result is from a file without scores.
        """
        return confidence_at(self._scores(), *self.labels.shape)

    def mask(self, *parts: str) -> NDArray[np.bool_]:
        """The mask of ``parts``, bool (H, W); the whole person if empty.

        Raises:
            ValueError: a part is not a class of the label set.
        """
        return np.isin(self.labels, self._ids(parts))

    def probability(self, *parts: str) -> NDArray[np.float32]:
        """The probability of ``parts`` together at every pixel, float32 (H, W), 0..1; of the whole person if empty.

        Raises:
            ValueError: a part is not a class of the label set, or the result has no scores.
        """
        return probability_at(self._scores(), self._ids(parts), *self.labels.shape)

    def cutout(self, *parts: str) -> Image.Image:
        """``parts`` on a transparent background, RGBA at the photo's size; the whole person if empty. The edge is soft:
        alpha rises while the probability of the parts rises from ¼ to ¾. Transparent pixels of the photo stay
        transparent. Fully transparent pixels are black: the file does not contain the rest of the photo.

        Raises:
            ValueError: a part is not a class of the label set, or the result is from a file.
        """
        self._source()  # without a photo, scores would not help
        share = np.clip((self.probability(*parts) - TRANSPARENT) / (SOLID - TRANSPARENT), 0, 1)
        photo = self._unflattened()
        opacity = photo[..., 3] if photo.shape[2] == 4 else 255
        cutout = np.dstack([photo[..., :3], (opacity * share).round().astype(np.uint8)])
        cutout[cutout[..., 3] == 0] = 0
        return Image.fromarray(cutout)

    def crop(self, *parts: str, margin: float = 0.1) -> Image.Image:
        """The photo cropped to the box of ``parts``, or of the whole person if empty. The margin around the box is
        ``margin`` times its longer side. RGBA if the photo has transparent pixels, otherwise RGB.

        Raises:
            ValueError: a part is not a class of the label set, none of the parts is in the photo, the margin is
                negative or not finite, or the result is from a file.
        """
        if not 0 <= margin < math.inf:
            raise ValueError(f"margin: expected a number from 0, got {margin}")
        extent = extent_of(self.mask(*parts))
        if extent is None:
            raise ValueError(f"nothing to crop: {' or '.join(parts) or 'nobody'} is not in this photo")
        left, top, right, bottom = extent
        room = round(margin * max(right - left, bottom - top))
        return Image.fromarray(
            self._unflattened()[max(0, top - room) : bottom + room, max(0, left - room) : right + room]
        )

    @cached_property
    def areas(self) -> dict[str, int]:
        """The number of pixels of every class that occurs."""
        ids = self.labels.astype(np.uint8, copy=False)  # other integers have a histogram of other bins
        counts = Image.fromarray(ids).histogram()  # bincount would convert all pixels to 64 bits
        return {name: counts[i] for i, name in enumerate(self.label_set.classes) if counts[i]}

    @cached_property
    def joints(self) -> dict[str, tuple[float, float] | None]:
        """The joints: the centre (x, y) of every region in pixels (Section 3.3); None if the region does not occur."""
        left, top, right, bottom = extent_of(self.labels > 0) or (0, 0, 0, 0)
        shown = self.labels[top:bottom, left:right]
        return {
            region.name: center_of(np.isin(shown, region.class_ids), left, top) for region in self.label_set.regions
        }

    @cached_property
    def people_map(self) -> NDArray[np.uint8]:
        """The number of the person at every pixel, uint8 (H, W): 1 to n, largest first, and 0 for nobody. Without an
        instance head, or from a PNG, people are found in the label map alone, see :mod:`ssnan.results.pieces`."""
        return find(self.labels, self.label_set, self.instances, self.instance_maps)

    @cached_property
    def track_map(self) -> NDArray[np.int64]:
        """The track of the person at every pixel of a frame, (H, W), see :attr:`Person.track`; 0 for nobody.

        Raises:
            ValueError: the result is not from a video.
        """
        if self.instances is None or self.tracks is None:
            raise ValueError("people have tracks only in videos: for result in parser.video(path)")
        return np.where(self.people_map > 0, np.array([0, *self.tracks])[self.instances], 0)

    @property
    def count(self) -> int:
        """The number of people."""
        return int(self.people_map.max(initial=0))

    @cached_property
    def people(self) -> list[Person]:
        """Every person, largest first: results of their own, with ``number``, ``box``, ``parts`` and ``score``."""
        return list(people_of(self))

    def person(self, index: int) -> Person:
        """Person ``index`` of :attr:`people`; 0 is the largest.

        Raises:
            IndexError: there are fewer people.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"no person {index}: the photo shows {self.count}, counted from 0")
        return self.people[index]

    def to_image(self) -> Image.Image:
        """An 8-bit palette image with label ids as indices and the colours of the label set."""
        return palette_image(self.labels, self.label_set)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file for :meth:`load`: a PNG of :meth:`to_image`, or with the suffix ``.npz`` scores and people too.

        Raises:
            ValueError: the path has another suffix.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".png", ".npz"):
            raise ValueError(f"save: expected a name that ends in .png or .npz, got {str(path)!r}")
        known = self.instances is not None or self.instance_maps is not None
        people = self.people_map if known and suffix == ".npz" else None
        save(Stored(self.labels, self.label_set, self.scores, people), Path(path))

    def remap(self, target: str | os.PathLike[str]) -> ParsingResult:
        """The same result in another label set.

        Args:
            target: ``atr``, ``pascal_person_part``, ``merged`` or your own YAML file, see
                :func:`ssnan.results.remapping.remapping`.

        Raises:
            RemapError: there is no such label set, or a class has no target class.
        """
        return self.remapped(remapping(self.label_set, target))

    def remapped(self, how: Remapping) -> ParsingResult:
        """As :meth:`remap`, for a given remapping."""
        scores = None if self.scores is None else how.scores(self.scores)
        # People are found by their heads, which other labels may not know.
        people = self.people_map if self.instances is None else self.instances
        labels = how.labels(self.labels)
        return replace(self, labels=labels, label_set=how.target, scores=scores, instances=people, instance_maps=None)

    def in_distinct_colors(self) -> ParsingResult:
        """The same result in colours that are distinct on dark clothes and for colour-blind readers."""
        return replace(self, label_set=distinct(self.label_set))

    def overlay(
        self, opacity: float = 0.65, contours: bool = False, names: bool = False, people: bool = False
    ) -> Image.Image:
        """The label map over the photo, RGB at the photo's size; the background is not covered.

        Args:
            opacity: opacity of the map, 0..1.
            contours: draw lines around the parts.
            names: write the names of the parts on them.
            people: one colour for each person instead of each part; it stays the same through a video.

        Raises:
            ValueError: the opacity is not in 0..1, or the result is from a file, which has no photo.
        """
        if not 0 <= opacity <= 1:
            raise ValueError(f"opacity: expected a number from 0 to 1, got {opacity}")
        if people:
            image = people_over(self.photo, self._drawn_numbers(), opacity)
        else:
            image = map_over(self.photo, self.labels, self.label_set, opacity)
        if contours:
            image = with_contours(image, self.labels, self.label_set)
        return with_names(image, self.labels, self.label_set) if names else image

    def legend(self) -> Image.Image:
        """An RGB image with the colour, name and share of every part in the photo, largest first."""
        return legend(self.areas, self.labels.size, self.label_set)

    def to_segments(self) -> list[Segment]:
        """The format of transformers' image-segmentation pipeline: ``score``, ``label`` and ``mask`` (8-bit grey, 255
        inside) of every class that occurs. The score is the mean probability, or None for a map from a file."""
        return segments({name: self.mask(name) for name in self.areas}, self._confidence_if_known())

    def to_supervision(self, people: bool = False) -> Detections:
        """``supervision.Detections`` with one detection and mask per part; needs the extra ``formats``.

        Args:
            people: one detection per person instead, largest first, with the track as ``tracker_id`` in a video.
        """
        if people:
            return of_people([(person.mask(), person.score, person.track) for person in people_of(self)])
        masks = {name: self.mask(name) for name in self.areas if name != self.label_set.classes[0]}
        return detections(masks, self.label_set, self._confidence_if_known())

    def to_keypoints(self) -> list[float]:
        """The joints in COCO's keypoint format: x, y and 2 for each, or 0, 0 and 0 if it does not occur."""
        return [value for point in self.joints.values() for value in ((*point, 2.0) if point else (0.0, 0.0, 0.0))]

    def to_dict(self) -> Document:
        """The result as plain values, see :class:`ssnan.results.document.Document`."""
        height, width = self.labels.shape
        confidence = self._confidence_if_known()
        return {
            "version": VERSION,
            "label_set": self.label_set.name,
            "classes": list(self.label_set.classes),
            "width": width,
            "height": height,
            "count": self.count,
            "people": [person.to_entry(confidence) for person in people_of(self)],
            "parts": described(self.labels, self.label_set, self.areas, confidence),
            "joints": dict(self.joints),
        }

    def _source(self) -> ImageLike:
        if self.source is None:
            raise ValueError("this result is from a file, which has no photo; parse the photo again")
        return self.source

    def _unflattened(self) -> NDArray[np.uint8]:
        photo = read_unflattened(self._source())
        self._refuse_another(*photo.shape[:2])
        return photo

    def _refuse_another(self, height: int, width: int) -> None:
        """Refuse a file that has been replaced since it was parsed, if its size tells."""
        if (height, width) != self.labels.shape:
            name = quoted(self.source) if isinstance(self.source, str | os.PathLike) else "the photo"
            was = f"{self.labels.shape[1]} × {self.labels.shape[0]}"
            raise ImageError(f"{name}: has changed since it was parsed, from {was} to {width} × {height} pixels")

    def _drawn_numbers(self) -> NDArray[np.integer[Any]]:
        """The number of the colour of the person at every pixel: that of the track in a video."""
        return self.people_map if self.tracks is None else self.track_map

    def _confidence_if_known(self) -> NDArray[np.float32] | None:
        return None if self.scores is None else self.confidence

    def _scores(self) -> NDArray[np.float32]:
        if self.scores is None:
            raise ValueError("this result is from a file without scores; save it as .npz to keep them")
        return self.scores

    def _ids(self, parts: tuple[str, ...]) -> list[int]:
        names = parts or self.label_set.classes[1:]
        if problem := unknown("class", names, self.label_set.classes):
            raise ValueError(problem)
        return [self.label_set.classes.index(name) for name in names]


@dataclass(frozen=True, eq=False, repr=False)
class Person(ParsingResult):
    """One person of a result: the same photo, where everybody else is background.

    Attributes:
        number: 1 for the largest person.
        score: mean probability of a person over the person's pixels, 0..1; None for a map from a file.
        others: where other people are, bool (H, W).
    """

    number: int = 1
    score: float | None = None
    others: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1), dtype=np.bool_))

    @property
    def box(self) -> Box:
        """Left, top, right and bottom in pixels; right and bottom are exclusive."""
        return extent_of(self.mask()) or (0, 0, 0, 0)

    @property
    def track(self) -> int | None:
        """The number of the person throughout a video, from 1 in the order of appearance; None for a photo. See
        :mod:`ssnan.results.tracking`."""
        return None if self.tracks is None else self.tracks[0]

    @property
    def parts(self) -> dict[str, int]:
        """The number of pixels of every part."""
        return {name: area for name, area in self.areas.items() if name != self.label_set.classes[0]}

    def _drawn_numbers(self) -> NDArray[np.integer[Any]]:
        return np.where(self.people_map > 0, self.number, 0) if self.tracks is None else self.track_map

    def probability(self, *parts: str) -> NDArray[np.float32]:
        """As :meth:`ParsingResult.probability`, and 0 on other people."""
        return np.where(self.others, np.float32(0), super().probability(*parts))

    def to_entry(self, confidence: NDArray[np.float32] | None = None) -> PersonEntry:
        """The person as plain values, as in the list of people of :meth:`ParsingResult.to_dict`.

        Args:
            confidence: that of the whole photo if it is known, (H, W), 0..1; it is the same on the person's pixels.
        """
        if confidence is None:
            confidence = self._confidence_if_known()
        entry: PersonEntry = {
            "area": sum(self.parts.values()),
            "score": None if self.score is None else round(self.score, 4),
            "box": self.box,
            "parts": described(self.labels, self.label_set, self.parts, confidence),
            "joints": dict(self.joints),
        }
        return entry if self.track is None else {**entry, "track": self.track}


def largest_person(result: ParsingResult) -> ParsingResult:
    """The largest person of a result; the result itself if it shows nobody."""
    return person_of(result, 1) if result.count else result


def people_of(result: ParsingResult) -> Iterator[Person]:
    """Everybody in a result, largest first, one after the other: :attr:`ParsingResult.people` holds them together."""
    return (person_of(result, number) for number in range(1, 1 + result.count))


def person_of(result: ParsingResult, number: int) -> Person:
    """Person ``number`` of a result, from 1. It holds three arrays of the photo's size."""
    kept = result.people_map == number
    labels, scores, score, others = alone(kept, result.labels, result.label_set, result.scores)
    return Person(
        labels,
        result.label_set,
        scores,
        result.source,
        kept.astype(np.uint8),
        None if result.tracks is None else (int(result.track_map[kept][0]),),
        number=number,
        score=score,
        others=others,
    )
