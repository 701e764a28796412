"""Convert label maps to another label set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from ssnan.errors import UserError, cause, of_file, quoted
from ssnan.io.strict_yaml import read_yaml
from ssnan.labels import ATR, LIP, LIP_MERGED, PASCAL_PERSON_PART, LabelSet
from ssnan.results.colors import rgb_of
from ssnan.scores.softmax import logarithms, softmax

Homes = Mapping[str, tuple[str, ...]]


class RemapError(UserError):
    """A label set cannot be converted to another; the message names the class."""


@dataclass(frozen=True)
class Remapping:
    """The conversion from one label set to another.

    Attributes:
        source: label set of the input.
        target: label set of the output.
        homes: for every class of ``source``, its classes in ``target``. With several, a pixel gets the nearest one in
            the photo, as a glove gets the arm that wears it.

    Raises:
        RemapError: a class of ``source`` is missing, a class in ``homes`` is not in ``target``, or the background does
            not become the first class.
    """

    source: LabelSet
    target: LabelSet
    homes: Homes

    def __post_init__(self) -> None:
        for name in self.source.classes:
            if not self.homes.get(name):
                raise RemapError(f"{self.source.name} to {self.target.name}: {name!r} has no target class; add one")
            for home in self.homes[name]:
                if home not in self.target.classes:
                    raise RemapError(
                        f"{self.source.name} to {self.target.name}: {name!r} goes to {home!r}, which is not a class; "
                        f"expected one of {', '.join(self.target.classes)}"
                    )
        background, first = self.source.classes[0], self.target.classes[0]
        if tuple(self.homes[background]) != (first,):
            raise RemapError(
                f"{self.source.name} to {self.target.name}: {background!r} goes to "
                f"{', '.join(self.homes[background])}; expected {first!r}, because the first class is the background"
            )
        for name in self.homes:
            if name not in self.source.classes:
                raise RemapError(f"{self.source.name} to {self.target.name}: the source has no class {name!r}")

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert a label map (H, W); ids without a class stay unchanged."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.source)] = [self._ids(name)[0] for name in self.source.classes]
        remapped = table[labels]
        for class_id, name in enumerate(self.source.classes):
            if len(ids := self._ids(name)) > 1:
                _to_nearest(remapped, labels == class_id, ids)
        return remapped

    def scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert scores (C, h, w) to log probabilities of the classes of ``target``: each the sum over its source
        classes. A source class with several targets is shared equally."""
        shares = np.zeros((len(self.target), len(self.source)), dtype=np.float32)
        for class_id, name in enumerate(self.source.classes):
            ids = self._ids(name)
            shares[ids, class_id] = 1 / len(ids)
        return logarithms(np.tensordot(shares, softmax(scores), axes=1))

    def _ids(self, name: str) -> list[int]:
        return [self.target.classes.index(home) for home in self.homes[name]]


def _to_nearest(labels: NDArray[np.uint8], undecided: NDArray[np.bool_], ids: list[int]) -> None:
    """Give every undecided pixel the id of the nearest decided pixel among ``ids``, if there is one."""
    from scipy import ndimage

    certain = np.isin(labels, ids) & ~undecided
    if not undecided.any() or not certain.any():
        return
    rows, columns = (np.flatnonzero((certain | undecided).any(axis=axis)) for axis in (1, 0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    nearest = ndimage.distance_transform_edt(~certain[window], return_distances=False, return_indices=True)
    part, inside = labels[window], undecided[window]
    part[inside] = part[tuple(nearest)][inside]


def _one_each(homes: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: (home,) for name, home in homes.items()}


_SAME_IN_ATR = {name: name for name in LIP.classes if name in ATR.classes}

TARGETS: dict[str, tuple[LabelSet, Homes]] = {
    "atr": (
        ATR,
        _one_each(_SAME_IN_ATR | {"coat": "upper-clothes", "jumpsuits": "dress"})
        | {"gloves": ("left-arm", "right-arm"), "socks": ("left-leg", "right-leg")},
    ),
    "pascal_person_part": (
        PASCAL_PERSON_PART,
        _one_each(
            {"background": "background"}
            | dict.fromkeys(("hat", "hair", "sunglasses", "face"), "head")
            | dict.fromkeys(("upper-clothes", "dress", "coat", "jumpsuits", "scarf"), "torso")
            | dict.fromkeys(("gloves", "left-arm", "right-arm"), "lower-arms")
            | dict.fromkeys(("pants", "skirt"), "upper-legs")
            | dict.fromkeys(("socks", "left-leg", "right-leg", "left-shoe", "right-shoe"), "lower-legs")
        ),
    ),
    "merged": (
        LIP_MERGED,
        _one_each(
            dict.fromkeys(LIP.classes, "clothes")
            | {"background": "background", "hair": "hair"}
            | dict.fromkeys(("face", "left-arm", "right-arm", "left-leg", "right-leg"), "skin")
        ),
    ),
}
"""Conversions of LIP's labels. ``atr`` gets no belts or bags. ``pascal_person_part`` is approximate, because LIP does
not separate upper and lower limbs: arms are lower arms, legs and shoes are lower legs, pants and skirts are upper
legs."""


def remapping(source: LabelSet, target: str | os.PathLike[str]) -> Remapping:
    """The conversion from ``source`` to another label set.

    Args:
        source: label set of the input.
        target: one of ``TARGETS``, or a YAML file with ``name``, ``classes`` (name: colour, the background first) and
            ``from`` (class of ``source``: one of ``classes``, or a list of them).

    Raises:
        RemapError: there is no such target, the file is incomplete, or a class has no target class.
    """
    if str(target) in TARGETS:
        label_set, homes = TARGETS[str(target)]
        if not source.agrees_with(LIP):
            raise RemapError(f"{source.name} to {target}: this target needs LIP's labels; write a YAML file")
        return Remapping(source, label_set, homes)
    path = Path(target)
    if path.suffix not in (".yaml", ".yml"):
        raise RemapError(f"labels {str(target)!r}: expected one of {', '.join(TARGETS)}, or your own .yaml file")
    return Remapping(source, *_read(path))


def _read(path: Path) -> tuple[LabelSet, Homes]:
    if not path.is_file():
        raise RemapError(f"{quoted(path)}: no such file")
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
        classes, homes = values["classes"], values["from"]
        palette = tuple(rgb_of(color) for color in classes.values())
        label_set = LabelSet(str(values["name"]), tuple(map(str, classes)), palette)
        lists = {str(name): home if isinstance(home, list) else [home] for name, home in homes.items()}
        return label_set, {name: tuple(map(str, home)) for name, home in lists.items()}
    except OSError as error:
        raise RemapError(of_file(error, path)) from None
    except KeyError as error:
        raise RemapError(f"{quoted(path)}: expected name, classes and from; {error.args[0]!r} is missing") from None
    except (AttributeError, TypeError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise RemapError(f"{quoted(path)}: expected name, classes (name: colour) and from ({cause(error)})") from None
