"""load(): from a bundled model's name, an .onnx file, a checkpoint or a name on the hub to a Parser."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

from ssnan.errors import lacks
from ssnan.hub.download import card_of
from ssnan.parsing.card import DEFAULT_MODEL, ModelError
from ssnan.parsing.engines import ENGINES, available_cores, choose
from ssnan.parsing.images import MAX_PIXELS
from ssnan.parsing.parser import ONE_VIEW, Parser
from ssnan.parsing.views import Views


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    engine: str = "auto",
    threads: int | None = None,
    views: Views = ONE_VIEW,
    labels: str | os.PathLike[str] | None = None,
    colors: Literal["labels", "distinct"] = "labels",
    max_pixels: int = MAX_PIXELS,
    largest: bool = False,
) -> Parser:
    """Load a model once, to use it many times: ``ssnan.load()("photo.jpg")``.

    What was picked, and why, goes to the logger ``ssnan`` at level INFO.

    Args:
        model: name of a bundled model, an .onnx file with its card beside it or a folder of these, a .ckpt
            checkpoint (which needs the extra ``train``), or a name on the Hugging Face hub, ``owner/name`` or
            ``owner/name@revision`` (which needs the extra ``hub`` and once a network; checksums are compared).
        engine: ``auto`` (the fastest that is installed), ``onnxruntime`` or ``openvino``; ``torch`` runs
            checkpoints, and nothing else does.
        threads: threads of one picture; every available core if None.
        views: versions of each picture to average over, such as ``Views((0.75, 1.0, 1.25), mirror=True)``.
        labels: label set of the results, as :meth:`ParsingResult.remap` takes it: ``atr``, ``pascal_person_part``,
            ``merged`` or a .yaml file; the model's own if None.
        colors: ``labels`` for the label set's colours, ``distinct`` for ones that stay apart for all eyes.
        max_pixels: larger photos are refused before they are decoded; set it lower where memory is short.
        largest: keep the main figure alone: the largest connected piece of people.

    Raises:
        ModelError: there is no such model or engine.
        RemapError: ``labels`` names no label set, or one that the model's labels do not lead to.
    """
    return _load(model, engine, threads, views).with_options(labels, colors, max_pixels, largest)


def _load(model: str | Path, engine: str, threads: int | None, views: Views) -> Parser:
    log = logging.getLogger("ssnan")
    if engine not in ("auto", "torch", *ENGINES):
        raise ModelError(f"engine {engine!r}: expected one of auto, {', '.join(ENGINES)}, torch")
    if Path(model).suffix == ".ckpt":
        if engine not in ("auto", "torch"):
            raise ModelError(f"{model}: checkpoints are run by torch; 'ssnan export' makes a model for {engine}")
        try:
            from ssnan.training.checkpoint import load_checkpoint
        except ModuleNotFoundError as error:
            raise ModelError(lacks(f"{model}: a checkpoint", error, "train")) from None
        parser = load_checkpoint(Path(model), threads, views)
        log.info("engine torch on %s, the one that runs checkpoints", parser.engine.device)  # type: ignore[attr-defined]
        return parser
    card = card_of(model)
    if engine == "torch":
        raise ModelError(f"model {model}: torch runs .ckpt checkpoints; expected engine auto, {', '.join(ENGINES)}")
    engine, reason = choose() if engine == "auto" else (engine, "as asked for")
    parser = Parser.of_card(card, engine, threads, views)
    cores = threads or available_cores()
    log.info("engine %s on %s, %d threads: %s", engine, card.weights(engine).name, cores, reason)
    return parser
