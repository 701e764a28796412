"""People in COCO's instance annotations (Lin et al., ECCV 2014; https://cocodataset.org/#format-data): polygons or run
lengths of whole people, without parts.

The masks have LIP's classes: a person's pixels may be any class but the background. Regions of a crowd are ignored.
People share no pixel: where two overlap, the smaller one is in front.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssnan.data.folder import DatasetError, Pair, ParsingFolder
from ssnan.errors import lacks, quoted
from ssnan.labels import FIRST_SET, LIP, UNKNOWN_PERSON, ClassSet

LABELS = replace(LIP, sets=(ClassSet(FIRST_SET, tuple(range(1, len(LIP)))),))
"""LIP with a set of all parts, for the pixels of people."""

SHAPES = "polygons [[x, y, …], …] or run lengths {size, counts} of the photo's size"


class _Photo(NamedTuple):
    """A photo of the file.

    Attributes:
        people: its annotations of people.
    """

    height: int
    width: int
    people: list[dict[str, Any]]


def is_coco(root: Path) -> bool:
    """Whether ``root`` has COCO's layout."""
    return bool(_files(root, ""))


def open_coco(root: Path, split: str) -> ParsingFolder:
    """One split: ``annotations/instances_<split>….json``, such as ``instances_val2017.json``. Its photos are in
    ``val2017``, ``images/val2017``, ``images`` or ``root``. Photos without people belong to it.

    Raises:
        DatasetError: there is no such file, it is not in COCO's format or has no category ``person``, or pycocotools is
            not installed.
    """
    try:
        import pycocotools.mask  # noqa: F401
    except ModuleNotFoundError as error:
        raise DatasetError(lacks(f"{quoted(root)}: a dataset in COCO's format", error, "formats")) from None
    files = _files(root, split)
    if len(files) != 1:
        found = ", ".join(path.name for path in files or _files(root, ""))
        raise DatasetError(f"{root}: expected one file annotations/instances_{split}….json, found {found}")
    photos = _read(files[0])
    name = files[0].stem.removeprefix("instances_")
    places = (root / name, root / "images" / name, root / "images", root)
    pairs, missing = [], []
    by_path: dict[Path, _Photo] = {}
    for file_name, photo in photos.items():
        path = next((place / file_name for place in places if (place / file_name).is_file()), None)
        if path is None:
            missing.append(f"{files[0]}: {file_name} is not in {name}, images/{name} or images")
        else:
            by_path[path] = photo
            pairs.append(Pair(Path(file_name).with_suffix("").as_posix(), path, path))
    return ParsingFolder(
        LABELS,
        tuple(pairs),
        tuple(missing),
        read_mask=partial(_labels, photos=by_path, file=files[0]),
        read_instances=partial(_people_of, photos=by_path, file=files[0]),
    )


def _files(root: Path, split: str) -> list[Path]:
    folder = root / "annotations"
    exact = folder / f"instances_{split}.json"
    return [exact] if exact.is_file() else sorted(folder.glob(f"instances_{split}*.json"))


def _read(file: Path) -> dict[str, _Photo]:
    """The photos of a file, by file name."""
    try:
        document = json.loads(file.read_bytes())
        persons = [category["id"] for category in document["categories"] if category["name"] == "person"]
        photos = {image["id"]: (str(image["file_name"]), _Photo(*_size(image), [])) for image in document["images"]}
        for annotation in document["annotations"]:
            if annotation["category_id"] in persons:
                photos[annotation["image_id"]][1].people.append(annotation)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{quoted(file)}: not JSON, or a photo without a size ({error})") from None
    except KeyError as error:
        raise DatasetError(f"{quoted(file)}: not COCO's format: nothing is called {error}") from None
    except (TypeError, AttributeError):
        raise DatasetError(
            f"{quoted(file)}: not COCO's format: expected lists of images, annotations and categories"
        ) from None
    if not persons:
        raise DatasetError(f"{quoted(file)}: no category 'person'; expected annotations of people")
    return dict(photos.values())


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    height, width = (int(image[key]) for key in ("height", "width"))
    if min(height, width) < 1:
        raise ValueError(f"{image['file_name']}: {width} × {height}")
    return height, width


def _labels(path: Path, photos: Mapping[Path, _Photo], file: Path) -> NDArray[np.uint8]:
    """The mask of a photo, (H, W)."""
    table = np.full(256, FIRST_SET, dtype=np.uint8)
    table[0], table[UNKNOWN_PERSON] = 0, LIP.ignore_index
    return table[_people(path, photos, file)]


def _people_of(pair: Pair, photos: Mapping[Path, _Photo], file: Path) -> NDArray[np.uint8]:
    return _people(Path(str(pair.mask)), photos, file)


def _people(path: Path, photos: Mapping[Path, _Photo], file: Path) -> NDArray[np.uint8]:
    """The map of people of a photo, (H, W)."""
    height, width, annotations = photos[path]
    masks: list[NDArray[np.bool_]] = []
    people = np.zeros((height, width), dtype=np.uint8)
    for annotation in annotations:
        try:
            mask = _mask(annotation["segmentation"], height, width)
        except (KeyError, TypeError, ValueError, OverflowError):
            name = annotation.get("id", "without id")
            raise DatasetError(f"{quoted(file)}: annotation {name} of {path.name}: expected {SHAPES}") from None
        if annotation.get("iscrowd"):
            people[mask] = UNKNOWN_PERSON
        else:
            masks.append(mask)
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), start=1):
        people[mask] = min(number, UNKNOWN_PERSON)
    return people


def _mask(shape: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The mask of a segmentation, (H, W).

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is none.
    """
    if isinstance(shape, list):
        return _inside(shape, height, width)
    # By hand, because pycocotools returns uninitialised memory for damaged run lengths.
    counts = shape["counts"]
    lengths = _lengths(counts.encode()) if isinstance(counts, str) else [int(count) for count in counts]
    if list(shape["size"]) != [height, width] or min(lengths) < 0 or sum(lengths) != height * width:
        raise ValueError("another size")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def _inside(polygons: list[Any], height: int, width: int) -> NDArray[np.bool_]:
    """The mask of polygons, (H, W)."""
    from pycocotools import mask as run_lengths

    if not polygons:
        return np.zeros((height, width), dtype=np.bool_)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(np.asarray(polygon, dtype=float)).all():
            raise ValueError("no polygon")
    mask: NDArray[np.bool_] = run_lengths.decode(
        run_lengths.merge(run_lengths.frPyObjects(polygons, height, width))
    ).astype(np.bool_)
    return mask


def _lengths(text: bytes) -> list[int]:
    """The lengths of COCO's compressed runs: numbers in digits of five bits, lowest first; from the fourth on, the
    difference to the last but one."""
    lengths: list[int] = []
    value = shift = 0
    for byte in text:
        digit = byte - 48
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4)
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths
