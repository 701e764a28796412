"""Save and load results: PNG maps with their label set, and .npz files with scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from ssnan.errors import cause, printable, quoted
from ssnan.io.masks import palette_image, png, read_labels
from ssnan.io.opening import (
    MAX_PIXELS,
    ImageError,
    explained,
    opened_image,
    refuse_if_huge,
    refuse_unless_regular,
)
from ssnan.io.writing import appearing_together
from ssnan.labels import LabelSet

KEY = "ssnan"
"""The PNG text key of the label set."""

PERSON_KEY = "ssnan-person"
"""The PNG text key of a person's number, in the map of one person of a photo."""

PHOTO_KEY = "ssnan-photo"
"""The PNG text key of the photo's name, in every PNG that is written for a photo."""


class Stored(NamedTuple):
    """What a file holds.

    Attributes:
        labels: class ids, uint8 (H, W).
        label_set: their label set.
        scores: class scores, float32 (C, h, w), if the file has them.
        people: the number of the person at every pixel, uint8 (H, W), if the file has them.
    """

    labels: NDArray[np.uint8]
    label_set: LabelSet
    scores: NDArray[np.float32] | None = None
    people: NDArray[np.uint8] | None = None


def png_info(label_set: LabelSet | None = None, person: int | None = None, photo: str | None = None) -> PngInfo:
    """PNG metadata: of a map, the label set, for :func:`load`, and the number of the person that it shows alone; of
    every result, the name of the photo, for :func:`photo_of`."""
    info = PngInfo()
    if label_set is not None:
        info.add_text(KEY, json.dumps(label_set.to_dict()), zip=True)
    if person is not None:
        info.add_text(PERSON_KEY, str(person))
    if photo is not None:
        info.add_text(PHOTO_KEY, printable(photo))
    return info


def save(stored: Stored, path: Path) -> None:
    """Write a label map as PNG, or with scores and people as .npz. The file appears when it is complete."""
    with appearing_together() as written_at, written_at(path).open("wb") as file:
        if path.suffix.lower() == ".npz":
            text = np.frombuffer(json.dumps(stored.label_set.to_dict()).encode(), dtype=np.uint8)
            arrays = {name: values for name, values in stored._asdict().items() if values is not None}
            np.savez_compressed(file, **arrays | {"label_set": text})
        else:
            file.write(png(palette_image(stored.labels, stored.label_set), png_info(stored.label_set)))


def is_map(path: Path) -> bool:
    """Whether a file is the label map of a whole photo, with its label set. Reads only what stands before the
    pixels."""
    try:
        refuse_unless_regular(path)  # opening a pipe would wait forever
        with opened_image(path) as image:
            return KEY in image.info and PERSON_KEY not in image.info
    except Exception:  # Pillow raises many kinds of errors
        return False


def photo_of(path: Path) -> str | None:
    """The name of the photo that a PNG is a result of, as :func:`ssnan.errors.printable` gives it; empty for a map that
    does not name it. None if the file is no result of ssnan. Reads only what stands before the pixels."""
    try:
        refuse_unless_regular(path)
        with opened_image(path) as image:
            return str(image.info.get(PHOTO_KEY, "")) if {KEY, PHOTO_KEY} & image.info.keys() else None
    except Exception:  # Pillow raises many kinds of errors
        return None


def load(path: Path) -> Stored:
    """Read a file of :func:`save`.

    Raises:
        ImageError: the file cannot be read, or contains no label set.
    """
    if path.suffix.lower() == ".npz":
        return _load_npz(path)
    text = explained(quoted(path), lambda: _text(path))
    if text is None:
        raise ImageError(f"{quoted(path)}: contains no label set; ParsingResult.from_png takes one")
    label_set = _label_set(path, text)
    return Stored(read_labels(path, label_set), label_set)


def _text(path: Path) -> str | None:
    """The label set of a PNG as JSON; it may stand after the pixels."""
    refuse_unless_regular(path)
    with opened_image(path) as mask:
        refuse_if_huge(*mask.size)
        text: str | None = getattr(mask, "text", {}).get(KEY)
    return text


def _load_npz(path: Path) -> Stored:
    try:
        refuse_unless_regular(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels, text = arrays["labels"], bytes(arrays["label_set"])
            scores, people = arrays.get("scores"), arrays.get("people")
    except FileNotFoundError:
        raise ImageError(f"{quoted(path)}: no such file") from None
    except MemoryError:
        raise ImageError(f"{quoted(path)}: not enough memory for its contents") from None
    except Exception as error:  # NumPy raises many kinds of errors
        raise ImageError(f"{quoted(path)}: not a file of ParsingResult.save ({cause(error)})") from None
    label_set = _label_set(path, text)
    if labels.dtype != np.uint8 or labels.ndim != 2 or not 0 < labels.size <= MAX_PIXELS:
        raise ImageError(f"{quoted(path)}: expected labels in uint8 (H, W), got {labels.dtype} {labels.shape}")
    if scores is not None and (scores.dtype != np.float32 or scores.ndim != 3 or len(scores) != len(label_set)):
        raise ImageError(
            f"{quoted(path)}: expected scores in float32 ({len(label_set)}, h, w), got {scores.dtype} {scores.shape}"
        )
    if people is not None and (people.dtype != np.uint8 or people.shape != labels.shape):
        raise ImageError(f"{quoted(path)}: expected people in uint8 {labels.shape}, got {people.dtype} {people.shape}")
    return Stored(labels, label_set, scores, people)


def _label_set(path: Path, text: str | bytes) -> LabelSet:
    try:
        return LabelSet.from_dict(json.loads(text))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ImageError(f"{quoted(path)}: its label set is invalid ({type(error).__name__})") from None
