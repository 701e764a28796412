"""ParsingResult: a label map and what can be asked of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.labels import LabelSet
from ssnan.parsing.images import palette_image, read_labels
from ssnan.parsing.upsampling import confidence_at


@dataclass(frozen=True, eq=False)
class ParsingResult:
    """The parsing map of one picture.

    Attributes:
        labels: class id of every pixel, uint8 (H, W), at the picture's own size.
        label_set: what the ids mean.
        scores: class scores at the network's stride, float32 (C, h, w); None for a map from a file.
    """

    labels: NDArray[np.uint8]
    label_set: LabelSet
    scores: NDArray[np.float32] | None = field(default=None, repr=False)

    @classmethod
    def from_png(cls, path: str | os.PathLike[str], label_set: LabelSet) -> ParsingResult:
        """Read a map that :meth:`save` wrote.

        Raises:
            ImageError: the file is no mask.
        """
        return cls(read_labels(Path(path)), label_set)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the class chosen at every pixel, 0..1, (H, W).

        Raises:
            ValueError: the result came from a file, which holds no scores.
        """
        if self.scores is None:
            raise ValueError("this result was read from a file, which keeps labels but no confidence")
        return confidence_at(self.scores, *self.labels.shape)

    def mask(self, *parts: str) -> NDArray[np.bool_]:
        """Where any of ``parts`` is, (H, W).

        Raises:
            ValueError: a part is no class of the label set.
        """
        unknown = [part for part in parts if part not in self.label_set.classes]
        if unknown:
            raise ValueError(f"no class {unknown[0]!r}; there are {', '.join(self.label_set.classes)}")
        return np.isin(self.labels, [self.label_set.classes.index(part) for part in parts])

    @cached_property
    def areas(self) -> dict[str, int]:
        """Pixels of every class that occurs."""
        counts = np.bincount(self.labels.ravel(), minlength=256)
        return {name: int(counts[i]) for i, name in enumerate(self.label_set.classes) if counts[i]}

    @cached_property
    def joints(self) -> dict[str, tuple[float, float] | None]:
        """Centre (y, x) in pixels of every joint region (Section 3.3); None where it does not occur."""
        centers = {}
        for region in self.label_set.regions:
            rows, columns = np.nonzero(np.isin(self.labels, region.class_ids))
            centers[region.name] = (float(rows.mean()), float(columns.mean())) if len(rows) else None
        return centers

    def as_image(self) -> Image.Image:
        """An 8-bit palette picture: indices are label ids, colours the label set's."""
        return palette_image(self.labels, self.label_set)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`as_image` as PNG."""
        self.as_image().save(path, format="PNG")

    def as_dict(self) -> dict[str, Any]:
        """Label set, size, every part's area, box and centre, and the joints; pixels throughout.

        A box is [left, top, right, bottom], right and bottom exclusive; points are [y, x].
        """
        parts = {}
        for name, area in self.areas.items():
            rows, columns = np.nonzero(self.mask(name))
            parts[name] = {
                "id": self.label_set.classes.index(name),
                "area": area,
                "box": [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1],
                "center": [float(rows.mean()), float(columns.mean())],
            }
        return {
            "label_set": self.label_set.name,
            "classes": list(self.label_set.classes),
            "height": self.labels.shape[0],
            "width": self.labels.shape[1],
            "parts": parts,
            "joints": {name: None if point is None else list(point) for name, point in self.joints.items()},
        }
