"""What a result becomes on its way out."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ssnan.parsing.outputs import Content, files
from ssnan.parsing.render import SCREEN_SIDE, for_a_screen, map_over
from ssnan.parsing.result import ParsingResult
from ssnan.serving.limits import RefusedError

Made = Callable[[ParsingResult, Sequence[str]], bytes]


def keep_parts(result: ParsingResult, parts: Sequence[str]) -> ParsingResult:
    """The result with all but ``parts`` called background; as it is if none is named."""
    if not parts:
        return result
    return replace(result, labels=np.where(result.mask(*parts), result.labels, 0).astype(np.uint8))


def as_json(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The JSON of ``ssnan parse --save json``, of ``parts`` alone if some are named."""
    document = result.to_dict()
    if parts:
        document["parts"] = {name: part for name, part in document["parts"].items() if name in parts}
    return (json.dumps(document) + "\n").encode()


def as_map(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The map as PNG."""
    return files(keep_parts(result, parts), "", (), ())[".png"]()


def as_overlay(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The photo under its map as JPEG, of at most ``SCREEN_SIDE`` pixels a side."""
    photo, labels = for_a_screen(result.reduced_photo(SCREEN_SIDE), keep_parts(result, parts).labels)
    buffer = io.BytesIO()
    map_over(photo, labels, result.label_set).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def as_masks(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """A zip of a mask for every part that is there, or for each of ``parts``, and of the map."""
    made = files(result, "", ("masks",), parts)
    return _zip({"map.png" if ending == ".png" else ending.removeprefix(".mask."): made[ending] for ending in made})


def as_files(result: ParsingResult, parts: Sequence[str], kinds: Sequence[str]) -> bytes:
    """A zip of what ``ssnan parse photo --save kinds`` writes, all of it of ``parts`` alone if some are named."""
    made = files(keep_parts(result, parts), "photo", kinds, parts)
    return _zip({f"photo{ending}": made[ending] for ending in made})


def _zip(contents: Mapping[str, Content]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        for name, content in contents.items():
            archive.writestr(name, content())
    return buffer.getvalue()


ANSWERS: dict[str, Made] = {
    "application/json": as_json,
    "image/png": as_map,
    "image/jpeg": as_overlay,
    "application/zip": as_masks,
}
"""What may be asked for, by its media type; the first is what anybody gets who asks for nothing."""

QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def chosen(accept: str) -> str:
    """The media type that an Accept header prefers among ``ANSWERS``: of each the most specific entry counts, a
    quality of 0 refuses it, and among equals the first that is named wins.

    Raises:
        RefusedError: 406, none of them is accepted.
    """
    entries = [_entry(text) for text in (accept if accept.strip() else "*/*").split(",")]
    wanted: list[tuple[float, int, str]] = []
    for kind in ANSWERS:
        for pattern in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
            fitting = [(quality, -place) for place, (media, quality) in enumerate(entries) if media == pattern]
            if fitting:
                wanted.append((*max(fitting), kind))
                break
    quality, _, kind = max(wanted, key=lambda one: one[:2], default=(0.0, 0, ""))
    if not quality:
        raise RefusedError(406, f"expected Accept to name one of {', '.join(ANSWERS)}")
    return kind


def _entry(text: str) -> tuple[str, float]:
    """Media type and quality, 0 where that is no number of 0..1."""
    media, *parameters = (word.strip().lower() for word in text.split(";"))
    quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    return media, float(quality) if QUALITY.fullmatch(quality) else 0.0
