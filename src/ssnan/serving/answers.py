"""Convert results to HTTP responses."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ssnan.results.document import Document
from ssnan.results.outputs import Content, files
from ssnan.results.render import SCREEN_SIDE, for_a_screen, map_over
from ssnan.results.result import ParsingResult, person_of
from ssnan.serving.limits import RefusedError

Made = Callable[[ParsingResult, Sequence[str]], bytes]


def keep_parts(result: ParsingResult, parts: Sequence[str]) -> ParsingResult:
    """The result with only ``parts``; everything else becomes background, and people stay apart. Unchanged if ``parts``
    is empty."""
    if not parts:
        return result
    labels = np.where(result.mask(*parts), result.labels, 0).astype(np.uint8)
    return replace(result, labels=labels, instances=result.people_map)


def keep_person(result: ParsingResult, number: int) -> ParsingResult:
    """Only person ``number``, 1 for the largest; everybody else becomes background.

    Raises:
        RefusedError: 422, there are fewer people.
    """
    if number > result.count:
        raise RefusedError(422, f"no person {number}: the photo shows {result.count}")
    return person_of(result, number)


def as_json(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The JSON of ``ssnan parse --save json``, with ``parts`` only unless empty."""
    return (json.dumps(_document(result, parts)) + "\n").encode()


def as_map(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The label map as PNG."""
    return files(keep_parts(result, parts), "", (), ())[".png"]()


def as_overlay(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """The overlay as JPEG, with sides of at most ``SCREEN_SIDE`` pixels."""
    photo, labels = for_a_screen(result.reduced_photo(SCREEN_SIDE), keep_parts(result, parts).labels)
    buffer = io.BytesIO()
    map_over(photo, labels, result.label_set).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def as_masks(result: ParsingResult, parts: Sequence[str]) -> bytes:
    """A zip with the label map and a mask of every part in the photo, or only of each of ``parts``."""
    made = files(keep_parts(result, parts), "", ("masks",), parts)
    return _zip({"map.png" if ending == ".png" else ending.removeprefix(".mask."): made[ending] for ending in made})


def as_files(result: ParsingResult, parts: Sequence[str], kinds: Sequence[str]) -> bytes:
    """A zip with the files of ``ssnan parse photo --save kinds``, of ``parts`` only unless empty. People are those of
    the whole result, because their parts alone would number them anew."""
    made = files(keep_parts(result, parts), "photo", kinds, parts)
    people = ("overlay", "people") if "people" in kinds else ()
    of_people = files(result, "photo", [kind for kind in kinds if kind in people], parts)
    made |= {ending: content for ending, content in of_people.items() if ending != ".png"}
    if "json" in kinds:
        made[".json"] = lambda: (json.dumps({"image": "photo"} | _document(result, parts), indent=2) + "\n").encode()
    return _zip({f"photo{ending}": made[ending] for ending in made})


def _document(result: ParsingResult, parts: Sequence[str]) -> Document:
    document = result.to_dict()
    if parts:
        for entry in (document, *document["people"]):
            entry["parts"] = {name: part for name, part in entry["parts"].items() if name in parts}
    return document


def _zip(contents: Mapping[str, Content]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNG files are already compressed
        for name, content in contents.items():
            archive.writestr(name, content())
    return buffer.getvalue()


ANSWERS: dict[str, Made] = {
    "application/json": as_json,
    "image/png": as_map,
    "image/jpeg": as_overlay,
    "application/zip": as_masks,
}
"""Functions for the response, by media type; the first is the default."""

QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def chosen(accept: str) -> str:
    """The media type in ``ANSWERS`` that an Accept header prefers. The most specific entry counts for each type, a
    quality of 0 refuses it, and the first of equals wins.

    Raises:
        RefusedError: 406, no type is accepted.
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
    """Media type and quality; the quality is 0 unless it is a number in 0..1."""
    media, *parameters = (word.strip().lower() for word in text.split(";"))
    quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    return media, float(quality) if QUALITY.fullmatch(quality) else 0.0
