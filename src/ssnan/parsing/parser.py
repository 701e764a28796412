"""Parser: from a photo to a ParsingResult."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.errors import quoted
from ssnan.io.images import BinaryFile, ImageLike, read_reduced, repeatable
from ssnan.io.opening import MAX_PIXELS, ImageError
from ssnan.labels import LabelSet
from ssnan.parsing.card import ModelCard, ModelError
from ssnan.parsing.engines import ENGINES, Engine
from ssnan.parsing.frames import frames, opened
from ssnan.parsing.pipeline import in_stages
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.parsing.views import Views
from ssnan.results.colors import distinct
from ssnan.results.remapping import Remapping, remapping
from ssnan.results.result import ParsingResult, largest_person
from ssnan.results.tracking import Tracker
from ssnan.scores.unsure import without_unsure_people
from ssnan.scores.upsampling import labels_at
from ssnan.scores.windows import is_long

ONE_VIEW = Views()


class Decoded(NamedTuple):
    """Pixels (h, w, 3) of a photo of ``height`` × ``width``, possibly reduced."""

    rgb: NDArray[np.uint8]
    height: int
    width: int


class Scored(NamedTuple):
    """Class scores (C, h, w) of a photo of ``height`` × ``width``, and the maps (3, p, q) of an instance head, see
    :mod:`ssnan.scores.grouping`."""

    scores: NDArray[np.float32]
    height: int
    width: int
    people: NDArray[np.float32] | None = None


class Parser:
    """A loaded model that parses photos.

    Args:
        engine: the engine that runs the network.
        label_set: the label set of the network.
        preprocessing: the preprocessing of its input.
        views: versions of each photo to average.
        min_person_confidence: the result is empty if the mean probability of a person, over the pixels called
            person, is below it; see :class:`ssnan.parsing.card.ModelCard`.

    Attributes:
        max_pixels: larger photos are refused before they are decoded.
        remapping: converts every result to another label set if not None; see
            :func:`ssnan.results.remapping.remapping`.
        colors: of the results, see :meth:`with_options`.
        largest: keep only the largest person, see :func:`ssnan.results.result.largest_person`.
    """

    def __init__(
        self,
        engine: Engine,
        label_set: LabelSet,
        preprocessing: Preprocessing,
        views: Views = ONE_VIEW,
        min_person_confidence: float = 0.0,
    ) -> None:
        self.engine = engine
        self.label_set = label_set
        self.preprocessing = preprocessing
        self.views = views
        self.min_person_confidence = min_person_confidence
        self.max_pixels = MAX_PIXELS
        self.remapping: Remapping | None = None
        self.colors: Literal["labels", "distinct"] = "labels"
        self.largest = False

    @classmethod
    def of_card(cls, card: ModelCard, engine: str, threads: int | None = None, views: Views = ONE_VIEW) -> Parser:
        """A parser for a model card, run by ``engine``, one of :data:`ssnan.parsing.engines.ENGINES`.

        Raises:
            ModelError: the engine is not installed, or the weights are damaged or do not match the card.
        """
        card.verify(engine)
        run = ENGINES[engine](card.weights(engine), threads)
        classes = getattr(run, "classes", None)
        if classes not in (None, len(card.label_set)):
            raise ModelError(
                f"{quoted(card.weights(engine))}: returns scores for {classes} classes, but its card "
                f"names {len(card.label_set)}"
            )
        return cls(run, card.label_set, card.preprocessing, views, card.min_person_confidence)

    def with_options(
        self,
        labels: str | os.PathLike[str] | None = None,
        colors: Literal["labels", "distinct"] | None = None,
        max_pixels: int | None = None,
        largest: bool | None = None,
    ) -> Parser:
        """A parser with the same network and other options. Omitted options stay as they are.

        Args:
            labels: label set of the results, as in :meth:`ParsingResult.remap`.
            colors: those of the label set, or those of :func:`ssnan.results.colors.distinct`.
            max_pixels: larger photos are refused before they are decoded.
            largest: keep only the largest person, see :func:`ssnan.results.result.largest_person`.

        Raises:
            RemapError: as :meth:`ParsingResult.remap`.
            ValueError: there are no such colours, or ``max_pixels`` is not in 1..:data:`ssnan.io.opening.MAX_PIXELS`.
        """
        if colors not in (None, "labels", "distinct"):
            raise ValueError(f"colors: expected labels or distinct, got {colors!r}")
        if max_pixels is not None and (type(max_pixels) is not int or not 1 <= max_pixels <= MAX_PIXELS):
            raise ValueError(f"max_pixels: expected a whole number from 1 to {MAX_PIXELS}, got {max_pixels!r}")
        other = copy(self)
        other.max_pixels = self.max_pixels if max_pixels is None else max_pixels
        other.largest = self.largest if largest is None else largest
        other.colors = self.colors if colors is None else colors
        if labels is not None:
            other.remapping = remapping(self.label_set, labels)
        return other

    @property
    def result_labels(self) -> LabelSet:
        """The label set of the results."""
        labels = self.label_set if self.remapping is None else self.remapping.target
        return distinct(labels) if self.colors == "distinct" else labels

    def __call__(self, image: ImageLike) -> ParsingResult:
        """Parse a path, bytes, file object, PIL image or array; :func:`ssnan.io.images.read_rgb` describes the
        supported arrays.

        Raises:
            ImageError: the photo cannot be used.
        """
        image = repeatable(image)
        return self.finish(self.score(self.decode(image)), image)

    def map(self, images: Iterable[ImageLike]) -> Iterator[ParsingResult | ImageError]:
        """Parse many photos and yield results in order. Decodes the next photo and finishes the last while the network
        runs. Holds only a few photos at a time. A photo that cannot be used yields its error. Arrays are copied,
        because a camera may write the next photo into the same one.

        Raises:
            ImageError: one photo was given instead of many.
        """
        one = isinstance(images, str | os.PathLike | bytes | Image.Image | BinaryFile)
        if one or getattr(images, "ndim", 4) < 4:
            raise ImageError("map: expected several photos, got one; call parser(photo)")
        return self._map(image.copy() if isinstance(image, np.ndarray) else image for image in images)

    def _map(self, images: Iterable[ImageLike]) -> Iterator[ParsingResult | ImageError]:
        return in_stages(self._decode_or_error, self._score_unless_error, self._finish_or_error, images)

    def video(self, path: str | os.PathLike[str]) -> Iterator[ParsingResult]:
        """Parse a video and yield the result of every frame, whose people have a track, see :attr:`Person.track
        <ssnan.results.result.Person.track>`. Holds only a few frames at a time.

        Raises:
            ImageError: the video is unreadable, damaged or truncated.
            ModuleNotFoundError: PyAV is not installed; it is in the extra ``video``.
        """
        tracker = Tracker()
        with opened(Path(path)) as source:
            for result in self._map(frames(source, Path(path), deque(maxlen=0), deque(maxlen=0))):
                if isinstance(result, ImageError):
                    raise result
                yield tracker.follow(result)

    def decode(self, image: ImageLike) -> Decoded:
        """First step: pixels, not much larger than the input of the network."""
        side = self.preprocessing.longest_side
        needed = None if side is None else math.ceil(side * max(self.views.scales))
        return Decoded(*read_reduced(image, needed, self.max_pixels))

    def score(self, decoded: Decoded) -> Scored:
        """Second step, which takes most of the time: class scores at the network's stride.

        Raises:
            ModelError: the network does not return finite scores for every class.
        """
        scores, people = self._scores(decoded.rgb)
        if len(scores) != len(self.label_set):
            raise ModelError(
                f"the network returns {len(scores)} scores per pixel, but there are {len(self.label_set)} classes"
            )
        if not np.isfinite(scores).all() or (people is not None and not np.isfinite(people).all()):
            raise ModelError("the network returns scores that are not finite; its weights are damaged")
        if self.min_person_confidence:
            scores = without_unsure_people(scores, self.label_set, self.min_person_confidence)
        return Scored(scores, decoded.height, decoded.width, people)

    def finish(self, scored: Scored, source: ImageLike | None = None) -> ParsingResult:
        """Third step: the label map at the photo's size. ``source`` is the input that was decoded."""
        scores, height, width, people = scored
        labels = labels_at(scores, height, width)
        result = ParsingResult(labels, self.label_set, scores, source, instance_maps=people)
        if self.largest:
            result = largest_person(result)
        if self.remapping is not None:
            result = result.remapped(self.remapping)
        return result.in_distinct_colors() if self.colors == "distinct" else result

    def scale_weights(self, decoded: Decoded) -> NDArray[np.float32] | None:
        """The weights of the network's scales at every position (Eq. 3): 0..1, (S, h, w), the coarsest scale first,
        summing to one over S. None if the model does not return them."""
        weigh = getattr(self.engine, "scale_weights", None)
        weights = None if weigh is None else weigh(self.preprocessing(decoded.rgb)[None])
        return None if weights is None else weights[0]

    def _scores(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Class scores, and the maps of the instance head if there is one; it sees the photo once, and whole."""
        if not getattr(self.engine, "tells_apart", False) or is_long(*rgb.shape[:2]):
            return self.views.scores(rgb, self.engine, self.label_set, self.preprocessing), None
        scores, people = self.engine.with_people(self.preprocessing(rgb)[None])  # type: ignore[attr-defined]
        return self.views.scores(rgb, self.engine, self.label_set, self.preprocessing, usual=scores[0]), people[0]

    def _decode_or_error(self, image: ImageLike) -> tuple[ImageLike, Decoded | ImageError]:
        try:
            image = repeatable(image)
            return image, self.decode(image)
        except ImageError as error:
            return image, error

    def _score_unless_error(
        self, decoded: tuple[ImageLike, Decoded | ImageError]
    ) -> tuple[ImageLike, Scored | ImageError]:
        image, outcome = decoded
        return image, outcome if isinstance(outcome, ImageError) else self.score(outcome)

    def _finish_or_error(self, scored: tuple[ImageLike, Scored | ImageError]) -> ParsingResult | ImageError:
        image, outcome = scored
        return outcome if isinstance(outcome, ImageError) else self.finish(outcome, image)
