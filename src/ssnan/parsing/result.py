"""ParsingResult: a label map and what can be asked of it."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.errors import unknown
from ssnan.labels import LabelSet
from ssnan.parsing.colors import distinct
from ssnan.parsing.images import ImageLike, read_reduced, read_unflattened
from ssnan.parsing.masks import palette_image, read_labels
from ssnan.parsing.remapping import Remapping, remapping
from ssnan.parsing.upsampling import confidence_at, probability_at

if TYPE_CHECKING:
    from supervision import Detections

    from ssnan.parsing.document import Document

TRANSPARENT, SOLID = 0.25, 0.75
"""Probabilities between which a cut-out's edge runs from transparent to solid."""


class Segment(TypedDict):
    """A part as transformers' pipelines give it."""

    score: float | None
    label: str
    mask: Image.Image


@dataclass(frozen=True, eq=False, repr=False)
class ParsingResult:
    """The parsing map of one picture.

    Attributes:
        labels: class id of every pixel, uint8 (H, W), at the picture's own size.
        label_set: what the ids mean.
        scores: class scores at the network's stride, float32 (C, h, w); None for a map from a file.
        source: the picture that was parsed, as it was given; it is read again when its pixels are asked
            for, so that a thousand results do not hold a thousand photos. None for a map from a file.
    """

    labels: NDArray[np.uint8]
    label_set: LabelSet
    scores: NDArray[np.float32] | None = None
    source: ImageLike | None = field(default=None)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ParsingResult:
        """Read what :meth:`save` wrote: a PNG gives labels and what they mean, an .npz file the scores too.

        Raises:
            ImageError: the file cannot be read, or does not say what its labels mean.
        """
        from ssnan.parsing.storing import load

        return cls(*load(Path(path)))

    @classmethod
    def from_png(cls, path: str | os.PathLike[str], label_set: LabelSet) -> ParsingResult:
        """Read a mask, whoever wrote it.

        Raises:
            ImageError: the file is no mask.
        """
        return cls(read_labels(Path(path)), label_set)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = sorted(((area / self.labels.size, name) for name, area in self.areas.items()), reverse=True)
        parts = ", ".join(f"{name} {share:.1%}" for share, name in shares if name != self.label_set.classes[0])
        return f"ParsingResult({width} × {height}, {self.label_set.name}: {parts or 'nobody found'})"

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the photo under its map, or the map alone where there is no photo."""
        from ssnan.parsing.render import map_over

        buffer = io.BytesIO()
        shown = self.to_image() if self.source is None else map_over(self.photo, self.labels, self.label_set)
        shown.thumbnail((800, 800))
        shown.save(buffer, format="PNG")
        return buffer.getvalue()

    @property
    def photo(self) -> NDArray[np.uint8]:
        """Pixels of the picture that was parsed, RGB (H, W, 3).

        Raises:
            ValueError: the result came from a file, which keeps labels but no photo.
            ImageError: the picture is there no more.
        """
        return self.reduced_photo(None)

    def reduced_photo(self, longest_side: int | None) -> NDArray[np.uint8]:
        """As :attr:`photo`; of a huge one a smaller version, its longer side ``longest_side`` or more.

        Raises:
            ValueError, ImageError: as :attr:`photo`.
        """
        return read_reduced(self._source(), longest_side)[0]

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the class chosen at every pixel, 0..1, (H, W).

        Raises:
            ValueError: the result came from a file, which holds no scores.
        """
        return confidence_at(self._scores(), *self.labels.shape)

    def mask(self, *parts: str) -> NDArray[np.bool_]:
        """Where any of ``parts`` is, (H, W); the whole person if none is named.

        Raises:
            ValueError: a part is no class of the label set.
        """
        return np.isin(self.labels, self._ids(parts))

    def probability(self, *parts: str) -> NDArray[np.float32]:
        """Probability that a pixel belongs to any of ``parts``, 0..1, (H, W); to the person if none is named.

        Raises:
            ValueError: a part is no class of the label set, or the result came from a file.
        """
        return probability_at(self._scores(), self._ids(parts), *self.labels.shape)

    def cutout(self, *parts: str) -> Image.Image:
        """The photo with everything but ``parts`` made transparent, RGBA at the photo's size; the whole person if
        none is named. The edge is soft: alpha rises as the probability of the parts does from ¼ to ¾. What is
        transparent in the photo stays so.

        Raises:
            ValueError: a part is no class of the label set, or the result came from a file.
        """
        alpha = np.clip((self.probability(*parts) - TRANSPARENT) / (SOLID - TRANSPARENT), 0, 1)
        photo = self._unflattened()
        opacity = photo[..., 3] if photo.shape[2] == 4 else 255
        return Image.fromarray(np.dstack([photo[..., :3], (opacity * alpha).round().astype(np.uint8)]))

    def crop(self, *parts: str, margin: float = 0.1) -> Image.Image:
        """The photo cut to the box of ``parts``, with ``margin`` times the box's longer side around it; of the
        whole person if none is named. RGBA if the photo is transparent somewhere, else RGB.

        Raises:
            ValueError: a part is no class of the label set, none of them is there, or the result came from
                a file.
        """
        extent = extent_of(self.mask(*parts))
        if extent is None:
            raise ValueError(f"nothing to crop: {' or '.join(parts) or 'nobody'} is not in this picture")
        left, top, right, bottom = extent
        room = round(margin * max(right - left, bottom - top))
        return Image.fromarray(
            self._unflattened()[max(0, top - room) : bottom + room, max(0, left - room) : right + room]
        )

    @cached_property
    def areas(self) -> dict[str, int]:
        """Pixels of every class that occurs."""
        counts = np.bincount(self.labels.ravel(), minlength=256)
        return {name: int(counts[i]) for i, name in enumerate(self.label_set.classes) if counts[i]}

    @cached_property
    def joints(self) -> dict[str, tuple[float, float] | None]:
        """Centre (x, y) in pixels of every joint region (Section 3.3); None where it does not occur."""
        return {region.name: center_of(np.isin(self.labels, region.class_ids)) for region in self.label_set.regions}

    def to_image(self) -> Image.Image:
        """An 8-bit palette picture: indices are label ids, colours the label set's."""
        return palette_image(self.labels, self.label_set)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what :meth:`load` reads: a PNG of :meth:`to_image`, or with the ending ``.npz`` the scores too."""
        from ssnan.parsing.storing import save

        save(self.labels, self.label_set, self.scores, Path(path))

    def remap(self, target: str | os.PathLike[str]) -> ParsingResult:
        """The same result in the words of another label set.

        Args:
            target: ``atr``, ``pascal_person_part``, ``merged`` or a YAML file of one's own, see
                :func:`ssnan.parsing.remapping.remapping`.

        Raises:
            RemapError: a class has no home there.
        """
        return self.remapped(remapping(self.label_set, target))

    def remapped(self, how: Remapping) -> ParsingResult:
        """As :meth:`remap`, with a remapping at hand."""
        scores = None if self.scores is None else how.scores(self.scores)
        return ParsingResult(how.labels(self.labels), how.target, scores, self.source)

    def in_distinct_colors(self) -> ParsingResult:
        """The same result in colours that stay apart on dark clothes and for colour-blind eyes."""
        return replace(self, label_set=distinct(self.label_set))

    def overlay(self, opacity: float = 0.65, contours: bool = False, names: bool = False) -> Image.Image:
        """The photo under its map, RGB at the photo's size; the background stays visible.

        Args:
            opacity: of the map, 0..1.
            contours: draw lines around the parts.
            names: write the parts' names on them.

        Raises:
            ValueError: the result came from a file, which keeps labels but no photo.
        """
        from ssnan.parsing.render import map_over, with_contours, with_names

        picture = map_over(self.photo, self.labels, self.label_set, opacity)
        if contours:
            picture = with_contours(picture, self.labels, self.label_set)
        return with_names(picture, self) if names else picture

    def legend(self) -> Image.Image:
        """Colour, name and share of every part present, largest first, RGB."""
        from ssnan.parsing.render import LEGEND_ROW, legend

        return legend(self, LEGEND_ROW * max(1, len(self.areas) - (self.label_set.classes[0] in self.areas)))

    def to_segments(self) -> list[Segment]:
        """What the image-segmentation pipeline of transformers gives: ``score``, ``label`` and ``mask`` (8-bit grey,
        255 inside) of every class that occurs. The score is the mean probability, None for a map from a file."""
        masks = {name: self.mask(name) for name in self.areas}
        scores = {name: None if self.scores is None else float(self.confidence[masks[name]].mean()) for name in masks}
        return [
            {"score": scores[name], "label": name, "mask": Image.fromarray(mask.astype(np.uint8) * 255)}
            for name, mask in masks.items()
        ]

    def to_supervision(self) -> Detections:
        """``supervision.Detections``, a detection a part, with its mask; the extra ``formats`` installs it."""
        from ssnan.parsing.detections import detections

        return detections(self)

    def to_keypoints(self) -> list[float]:
        """The joints as COCO writes key points: x, y and 2 for each, 0, 0 and 0 where it does not occur."""
        return [value for point in self.joints.values() for value in ((*point, 2.0) if point else (0.0, 0.0, 0.0))]

    def to_dict(self) -> Document:
        """What was found as plain values; see :class:`ssnan.parsing.document.Document`."""
        from ssnan.parsing.document import document

        return document(self)

    def _source(self) -> ImageLike:
        if self.source is None:
            raise ValueError("this result was read from a file, which keeps labels but no photo")
        return self.source

    def _unflattened(self) -> NDArray[np.uint8]:
        return read_unflattened(self._source())

    def _scores(self) -> NDArray[np.float32]:
        if self.scores is None:
            raise ValueError("this result was read from a file, which keeps labels but no confidence")
        return self.scores

    def _ids(self, parts: tuple[str, ...]) -> list[int]:
        names = parts or self.label_set.classes[1:]
        if problem := unknown("class", names, self.label_set.classes):
            raise ValueError(problem)
        return [self.label_set.classes.index(name) for name in names]


def extent_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of a mask (H, W), right and bottom exclusive; None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def center_of(mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Centre of mass (x, y) of a mask (H, W); None if it is empty."""
    by_row, by_column = mask.sum(axis=1), mask.sum(axis=0)
    total = int(by_row.sum())
    if not total:
        return None
    x, y = (float(np.arange(len(counts)) @ counts) / total for counts in (by_column, by_row))
    return x, y
