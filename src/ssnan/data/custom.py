"""Your own data: a folder of photos, a folder of masks, and a ``dataset.yaml`` that describes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ssnan.data.folder import DatasetError, Pair, ParsingFolder, paired, photos_by_stem, without_masks
from ssnan.data.keypoints import read_keypoints
from ssnan.errors import cause
from ssnan.io.images import read_rgb
from ssnan.io.lists import text_of
from ssnan.io.masks import read_colors, read_labels
from ssnan.io.opening import ImageError
from ssnan.io.strict_yaml import read_yaml
from ssnan.labels import ClassSet, LabelSet, Region
from ssnan.results.colors import rgb_of

DESCRIPTION = "dataset.yaml"

VAL_SHARE = 0.1
"""The share of photos in ``val`` without lists."""

BACKGROUND = "background"
"""Used in place of a folder of masks if the photos show nobody."""

KEYS = {
    "name": "short name of the label set",
    "images": "folder of the photos, beside this file",
    "masks": "folder of the masks: PNG files with the names of the photos; 'background' if no photo shows a person",
    "instances": "folder of PNG files with the number of the person at every pixel, 0 for nobody, 255 if unknown",
    "keypoints": "JSON file with the keypoints of the people, in COCO order",
    "classes": "class name: colour, in the order of the ids; the first is the background",
    "pairs": "[[left, right], …], classes that swap in a mirrored photo",
    "joints": "joint name: [class, …], regions of the joint loss",
    "sets": "mask value of 100 or more: [class, …], for pixels that belong to one of these",
    "ignore": "mask value that training and metrics ignore (255)",
    "splits": "split name: text file with one photo name per line; without it, a tenth of the photos is val",
}
"""The keys of a description. ``name``, ``images``, ``masks`` and ``classes`` are required."""


def open_custom(root: Path, split: str) -> ParsingFolder:
    """One split of a dataset with ``root/dataset.yaml``.

    Masks have one channel of label ids, or the colours of the classes. Without lists, a tenth of the photos, selected
    by name, is ``val`` and the rest ``train``.

    Raises:
        DatasetError: the description or a file in it is invalid; the message says which.
    """
    description = root / DESCRIPTION
    values = _read(description)
    label_set = read_label_set(description)
    empty = values["masks"] == BACKGROUND
    images = root / str(values["images"])
    masks = images if empty else root / str(values["masks"])
    told_apart = [("instances", root / str(values["instances"]))] if values.get("instances") else []
    for key, folder in (("images", images), ("masks", masks), *told_apart):
        if not folder.is_dir():
            raise DatasetError(f"{description}: {key}: no such folder {folder}")
    splits = values.get("splits")
    if splits is None:
        listed_in, names = description, _by_name(images, split, description)
    elif split in splits:
        listed_in = root / str(splits[split])
        if not listed_in.is_file():
            raise DatasetError(f"{description}: splits: {split}: no such file {listed_in}")
        names = [
            re.split(r"[/\\]", line.strip())[-1]  # a path of any system
            for line in text_of(listed_in.read_bytes()).splitlines()
            if line.strip()
        ]
    else:
        raise DatasetError(f"{description}: splits: no {split!r}; expected one of {', '.join(splits)}")
    keypoints = read_keypoints(root / str(values["keypoints"])) if values.get("keypoints") else {}
    if keypoints and keypoints.keys().isdisjoint(photos_by_stem(images)):
        raise DatasetError(
            f"{description}: keypoints: expected names of photos in {images} without suffix, got "
            f"{next(iter(keypoints))!r}"
        )
    if empty:
        pairs, missing = without_masks(names, images, listed_in)
        return ParsingFolder(label_set, pairs, missing, all_background, keypoints)
    pairs, missing = paired(zip(names, names, strict=True), images, masks, listed_in)
    read_instances = (
        partial(_read_instances, folder=root / str(values["instances"])) if values.get("instances") else None
    )
    read_mask = partial(read_ids_or_colors, label_set=label_set)
    split_folder = ParsingFolder(label_set, pairs, missing, read_mask, keypoints, read_instances)
    _refuse_if_all_ignored(split_folder, masks)
    return split_folder


def _read_instances(pair: Pair, folder: Path) -> NDArray[np.uint8]:
    return read_labels(folder / f"{pair.id}.png")


def _refuse_if_all_ignored(folder: ParsingFolder, masks: Path) -> None:
    """Refuse masks of 0 and 255, where 255 is probably meant as a class but ignored.

    Raises:
        DatasetError: every mask has only the background and the ignored value, and the latter occurs.
    """
    found = set[int]()
    for pair in folder.pairs:
        try:
            found |= set(np.unique(folder.read_mask(pair.mask)).tolist())
        except (DatasetError, ImageError):  # reported when the sample is read
            return
        if found - {0, folder.label_set.ignore_index}:
            return
    if folder.label_set.ignore_index in found:
        raise DatasetError(
            f"{masks}: the masks have only 0 and {folder.label_set.ignore_index}, and {folder.label_set.ignore_index} "
            "is ignored; write each class as its id (1, 2, …) or colour, or set 'ignore' to another value"
        )


def read_label_set(description: Path) -> LabelSet:
    """The label set of a description.

    Raises:
        DatasetError: the description is invalid.
    """
    values = _read(description)
    classes = values["classes"]
    if not isinstance(classes, Mapping) or len(classes) < 2:
        raise DatasetError(f"{description}: classes: expected 'name: colour' lines, the background first")
    ids = {str(name): number for number, name in enumerate(classes)}

    def class_ids(key: str, names: Any) -> tuple[int, ...]:
        if not isinstance(names, list) or not 0 < len(names) == len(set(map(str, names))):
            raise DatasetError(f"{description}: {key}: expected a list of different classes, got {names!r}")
        for name in names:
            if str(name) not in ids:
                raise DatasetError(f"{description}: {key}: {name!r} is not a class; expected one of {', '.join(ids)}")
        return tuple(ids[str(name)] for name in names)

    sets = values.get("sets") or {}
    if not isinstance(sets, Mapping) or not all(isinstance(value, int) for value in sets):
        raise DatasetError(f"{description}: sets: expected 'mask value: [class, …]' lines, got {sets!r}")
    ignored = 255 if values.get("ignore") is None else values["ignore"]
    if type(ignored) is not int:
        raise DatasetError(f"{description}: ignore: expected a whole number, got {ignored!r}")
    pairs = values.get("pairs") or []
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise DatasetError(f"{description}: pairs: expected {KEYS['pairs']}; got {pairs}")
    try:
        return LabelSet(
            name=str(values["name"]),
            classes=tuple(ids),
            palette=tuple(_color(description, name, color) for name, color in classes.items()),
            flip_pairs=tuple((left, right) for left, right in (class_ids("pairs", pair) for pair in pairs)),
            regions=tuple(
                Region(str(name), class_ids(f"joints: {name}", members))
                for name, members in (values.get("joints") or {}).items()
            ),
            ignore_index=ignored,
            sets=tuple(ClassSet(value, class_ids(f"sets: {value}", members)) for value, members in sets.items()),
        )
    except DatasetError:
        raise
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{description}: {error}") from None


def read_ids_or_colors(path: Path, label_set: LabelSet) -> NDArray[np.uint8]:
    """Label ids of a mask with one channel, or of one painted in the colours of the label set. For palettes, see
    :func:`read_labels`.

    Raises:
        ImageError: the mask cannot be read.
        DatasetError: a colour belongs to no class, or to several.
    """
    colors = read_colors(path)
    if colors is None:
        return read_labels(path, label_set)
    packed = colors.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    known = np.array(label_set.palette) @ np.array([1 << 16, 1 << 8, 1])
    order = np.argsort(known)
    position = np.searchsorted(known[order], packed).clip(max=len(known) - 1)
    ids = order[position]
    shared = (known[:, None] == known).sum(axis=1) > 1
    wrong = np.argwhere((known[ids] != packed) | shared[ids])
    if len(wrong):
        row, column = wrong[0]
        color = tuple(int(v) for v in colors[row, column])
        whose = [repr(name) for name, own in zip(label_set.classes, label_set.palette, strict=True) if own == color]
        raise DatasetError(
            f"{path}: colour {color} at row {row}, column {column} belongs to {' and '.join(whose) or 'no class'}; "
            f"painted masks may only have the colours of {label_set.name!r}, each of one class, without blended edges"
        )
    return ids.astype(np.uint8)


def all_background(photo: Path) -> NDArray[np.uint8]:
    """The mask of a photo that shows nobody, zeros (H, W).

    Raises:
        ImageError: the photo cannot be read.
    """
    return np.zeros(read_rgb(photo).shape[:2], dtype=np.uint8)


def _read(description: Path) -> dict[str, Any]:
    try:
        values = read_yaml(text_of(description.read_bytes()))
    except UnicodeDecodeError:
        raise DatasetError(f"{description}: expected text in UTF-8 or UTF-16") from None
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise DatasetError(f"{description}: cannot be read ({cause(error)})") from None
    if not isinstance(values, dict):
        raise DatasetError(f"{description}: expected 'key: value' lines with {', '.join(KEYS)}")
    for key in values:
        if key not in KEYS:
            raise DatasetError(f"{description}: unknown key {key!r}; expected one of {', '.join(KEYS)}")
    for key in ("name", "images", "masks", "classes"):
        if key not in values:
            raise DatasetError(f"{description}: {key!r} is missing ({KEYS[key]})")
    for key, kind in (("splits", Mapping), ("joints", Mapping), ("pairs", list)):
        if values.get(key) is not None and not isinstance(values[key], kind):
            raise DatasetError(f"{description}: {key}: expected {KEYS[key]}; got {values[key]!r}")
    return values


def _color(description: Path, name: str, color: Any) -> tuple[int, int, int]:
    try:
        return rgb_of(color)
    except (TypeError, ValueError):
        raise DatasetError(
            f"{description}: classes: {name}: expected a colour as [red, green, blue] of 0..255 or '#rrggbb', "
            f"got {color!r}"
        ) from None


def _by_name(images: Path, split: str, description: Path) -> list[str]:
    if split not in ("train", "val"):
        raise DatasetError(f"{description}: no split {split!r}; without 'splits' there are train and val")
    # Only a checksum of the name decides, so that a photo stays in its split when others are added or removed.
    stems = sorted(photos_by_stem(images), key=_checksum)
    if len(stems) < 2:
        raise DatasetError(f"{images}: expected at least two photos, found {len(stems)}")
    count = sum(_checksum(stem) < VAL_SHARE for stem in stems)
    count = min(max(1, count), len(stems) - 1)  # with few photos, one side may be empty
    return sorted(stems[:count] if split == "val" else stems[count:])


def _checksum(stem: str) -> float:
    """A checksum as a number in 0..1, uniformly distributed."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:6]) / (1 << 48)
