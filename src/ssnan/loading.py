"""load(): make a Parser from a bundled model, an .onnx file, a checkpoint or a name on the hub."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

from ssnan.errors import lacks
from ssnan.hub.download import card_of
from ssnan.io.opening import MAX_PIXELS
from ssnan.parsing.card import DEFAULT_MODEL, ModelError
from ssnan.parsing.engines import ENGINES, available_cores, choose
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
    """Load a model: ``ssnan.load()("photo.jpg")``. Load it once and call it many times.

    The logger ``ssnan`` reports the chosen engine and the reason at level INFO.

    Args:
        model: name of a bundled model, an .onnx file with its card beside it or a folder with both, a .ckpt
            checkpoint (needs the extra ``train``), or a name on the Hugging Face hub, ``owner/name`` or
            ``owner/name@revision`` (needs the extra ``hub``, and a network the first time; checksums are checked).
        engine: ``auto`` (the fastest installed one), ``onnxruntime`` or ``openvino`` for models, ``torch`` for
            checkpoints.
        threads: threads per photo; all available cores if None.
        views: versions of each photo to average, such as ``Views((0.75, 1.0, 1.25), mirror=True)``.
        labels: label set of the results, as in :meth:`ParsingResult.remap`: ``atr``, ``pascal_person_part``,
            ``merged`` or a .yaml file; the model's own if None.
        colors: ``labels`` for the label set's colours, ``distinct`` for colours that colour-blind readers can tell
            apart.
        max_pixels: larger photos are refused before they are decoded; a lower limit saves memory.
        largest: keep only the largest person.

    Raises:
        ModelError: there is no such model or engine, the model is damaged, or ``threads`` is not in 1..256.
        RemapError: ``labels`` is not a label set, or the model's labels cannot be mapped to it.
        ValueError: ``colors`` or ``max_pixels`` is none of the allowed values.
    """
    return _load(model, engine, threads, views).with_options(labels, colors, max_pixels, largest)


def _load(model: str | Path, engine: str, threads: int | None, views: Views) -> Parser:
    log = logging.getLogger("ssnan")
    if engine not in ("auto", "torch", *ENGINES):
        raise ModelError(f"engine {engine!r}: expected one of auto, {', '.join(ENGINES)}, torch")
    card = card_of(model)
    if card is None:
        if engine not in ("auto", "torch"):
            raise ModelError(f"{model}: only torch runs checkpoints; 'ssnan export' makes a model for {engine}")
        try:
            from ssnan.training.checkpoint import load_checkpoint
        except ModuleNotFoundError as error:
            raise ModelError(lacks(f"{model}: a checkpoint", error, "train")) from None
        parser = load_checkpoint(Path(model), threads, views)
        log.info("engine torch on %s, because only torch runs checkpoints", parser.engine.device)  # type: ignore[attr-defined]
        return parser
    if engine == "torch":
        raise ModelError(
            f"model {model}: torch only runs .ckpt checkpoints; expected engine auto, {', '.join(ENGINES)}"
        )
    engine, reason = choose() if engine == "auto" else (engine, "as requested")
    parser = Parser.of_card(card, engine, threads, views)
    cores = threads or available_cores()
    log.info("engine %s on %s, %d threads: %s", engine, card.weights(engine).name, cores, reason)
    return parser
