"""What a result becomes on its way out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ssnan.parsing.outputs import files
from ssnan.parsing.render import OVERLAY_SIDE, for_a_screen, map_over
from ssnan.parsing.result import ParsingResult
from ssnan.serving.limits import RefusedError

Made = Callable[[ParsingResult, Sequence[str]], bytes]


def only(result: ParsingResult, parts: Sequence[str]) -> ParsingResult:
    """The result with all but ``parts`` called background; as it is if none is named."""
    if not parts:
        return result
    return replace(result, labels=np.where(result.mask(*parts), result.labels, 0).astype(np.uint8))


def as_json(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The JSON of ``ssnan parse --save json``, of ``parts`` alone if some are named."""
    document = result.as_dict()
    if parts:
        document["parts"] = {name: part for name, part in document["parts"].items() if name in parts}
    return (json.dumps(document) + "\n").encode()


def as_map(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The map as PNG."""
    return files(only(result, parts), "", (), ())[".png"]()


def as_overlay(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The photo under its map as JPEG, of at most ``OVERLAY_SIDE`` pixels a side."""
    photo, labels = for_a_screen(result.reduced_photo(OVERLAY_SIDE), only(result, parts).labels)
    buffer = io.BytesIO()
    map_over(photo, labels, result.label_set).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def as_masks(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """A zip of a mask for every part that is there, or for each of ``parts``, and of the map."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        for ending, content in files(result, "", ("masks",), parts).items():
            archive.writestr("map.png" if ending == ".png" else ending.removeprefix(".mask."), content())
    return buffer.getvalue()


ANSWERS: dict[str, Made] = {
    "application/json": as_json,
    "image/png": as_map,
    "image/jpeg": as_overlay,
    "application/zip": as_masks,
}
"""What may be asked for, by its media type; the first is what anybody gets who asks for nothing."""


def chosen(accept: str) -> str:
    """The media type that an Accept header prefers among ``ANSWERS``.

    Raises:
        RefusedError: 406, none of them is accepted.
    """
    best, kind = 0.0, None
    for number, entry in enumerate(accept.split(",") if accept.strip() else ["*/*"]):
        media, *parameters = (word.strip().lower() for word in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        family = media.removesuffix("*") if media.endswith("/*") else None
        for name in ANSWERS:
            fits = media in (name, "*/*") or (family is not None and name.startswith(family))
            if fits and quality - 1e-6 * number > best:
                best, kind = quality - 1e-6 * number, name
    if kind is None:
        raise RefusedError(406, f"expected Accept to name one of {', '.join(ANSWERS)}")
    return kind
