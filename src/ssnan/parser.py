"""Parser: a picture in, a ParsingResult out."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssnan.card import DEFAULT_MODEL, ModelError, find_card
from ssnan.engines import ENGINES, Engine, available_cores, choose
from ssnan.images import ImageError, ImageLike, read_reduced
from ssnan.labels import LabelSet
from ssnan.pipeline import ahead
from ssnan.preprocessing import Preprocessing
from ssnan.result import ParsingResult
from ssnan.upsampling import labels_at
from ssnan.views import Views

ONE_VIEW = Views()


class Decoded(NamedTuple):
    """Pixels (h, w, 3) of a picture of ``height`` × ``width``, perhaps read at a smaller size."""

    rgb: NDArray[np.uint8]
    height: int
    width: int


class Scored(NamedTuple):
    """Class scores (C, h, w) of a picture of ``height`` × ``width``."""

    scores: NDArray[np.float32]
    height: int
    width: int


class Parser:
    """A loaded network, ready for any number of pictures.

    Args:
        engine: runs the network.
        label_set: what its classes mean.
        preprocessing: what it reads.
        views: versions of each picture to average over.
    """

    def __init__(
        self, engine: Engine, label_set: LabelSet, preprocessing: Preprocessing, views: Views = ONE_VIEW
    ) -> None:
        self.engine = engine
        self.label_set = label_set
        self.preprocessing = preprocessing
        self.views = views

    def __call__(self, image: ImageLike) -> ParsingResult:
        """Parse a path, bytes, PIL image or array; see :func:`ssnan.images.read_rgb` for what arrays mean.

        Raises:
            ImageError: the picture cannot be used.
        """
        return self.finish(self.score(self.decode(image)))

    def map(self, images: Iterable[ImageLike]) -> Iterator[ParsingResult | ImageError]:
        """Parse many pictures, in order: one is decoded and one finished while a third is in the
        network. Only a few are held at a time. A picture that cannot be used gives its error."""
        scored = (
            item if isinstance(item, ImageError) else self.score(item) for item in ahead(self._decode_or_error, images)
        )
        return ahead(self._finish_or_error, scored)

    def decode(self, image: ImageLike) -> Decoded:
        """The first step: pixels, not much larger than the network wants them."""
        side = self.preprocessing.longest_side
        return Decoded(*read_reduced(image, None if side is None else math.ceil(side * max(self.views.scales))))

    def score(self, decoded: Decoded) -> Scored:
        """The second step, where the time goes: class scores at the network's stride."""
        scores = self.views.scores(decoded.rgb, self.engine, self.label_set, self.preprocessing)
        return Scored(scores, decoded.height, decoded.width)

    def finish(self, scored: Scored) -> ParsingResult:
        """The third step: the map at the picture's own size."""
        return ParsingResult(labels_at(*scored), self.label_set, scored.scores)

    def _decode_or_error(self, image: ImageLike) -> Decoded | ImageError:
        try:
            return self.decode(image)
        except ImageError as error:
            return error

    def _finish_or_error(self, scored: Scored | ImageError) -> ParsingResult | ImageError:
        return scored if isinstance(scored, ImageError) else self.finish(scored)


def load(
    model: str | Path = DEFAULT_MODEL,
    engine: str = "auto",
    threads: int | None = None,
    views: Views = ONE_VIEW,
    pictures: int | None = None,
) -> Parser:
    """Load a model once, to use it many times: ``ssnan.load()("photo.jpg")``.

    What was picked, and why, goes to the logger ``ssnan`` at level INFO.

    Args:
        model: name of a bundled model, an .onnx file with its card beside it, or a .ckpt checkpoint
            (which needs the extra ``train``).
        engine: ``auto`` (the fastest that is installed), ``onnxruntime`` or ``openvino``; ``torch`` runs
            checkpoints, and nothing else does.
        threads: threads of one picture; every available core if None.
        views: versions of each picture to average over, such as ``Views((0.75, 1.0, 1.25), mirror=True)``.
        pictures: how many there will be, if that is known; ``auto`` spares a few a slow start.

    Raises:
        ModelError: there is no such model or engine.
    """
    log = logging.getLogger("ssnan")
    if engine not in ("auto", "torch", *ENGINES):
        raise ModelError(f"engine {engine!r}: expected one of auto, {', '.join(ENGINES)}, torch")
    if Path(model).suffix == ".ckpt":
        if engine not in ("auto", "torch"):
            raise ModelError(f"{model}: checkpoints are run by torch; 'ssnan export' makes a model for {engine}")
        try:
            from ssnan.training.checkpoint import load_checkpoint
        except ModuleNotFoundError as error:
            raise ModelError(f"{model}: checkpoints need {error.name}; pip install 'ssnan[train]'") from None
        parser = load_checkpoint(Path(model), threads, views)
        log.info("engine torch on %s, the one that runs checkpoints", parser.engine.device)  # type: ignore[attr-defined]
        return parser
    card = find_card(model)
    if engine == "torch":
        raise ModelError(f"model {model}: torch runs .ckpt checkpoints; expected engine auto, {', '.join(ENGINES)}")
    engine, reason = choose(pictures) if engine == "auto" else (engine, "as asked for")
    try:
        run = ENGINES[engine](card.weights(engine), threads)
    except ModuleNotFoundError as error:
        raise ModelError(f"engine {engine} needs {error.name}; pip install 'ssnan[{engine}]'") from None
    cores = threads or available_cores()
    log.info("engine %s on %s, %d threads: %s", engine, card.weights(engine).name, cores, reason)
    return Parser(run, card.label_set, card.preprocessing, views)
