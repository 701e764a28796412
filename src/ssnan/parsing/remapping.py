"""A map in the words of another label set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from ssnan.errors import UserError, of_file, quoted
from ssnan.labels import ATR, LIP, LIP_MERGED, PASCAL_PERSON_PART, LabelSet
from ssnan.parsing.colors import rgb_of

Homes = Mapping[str, tuple[str, ...]]


class RemapError(UserError):
    """One label set cannot be said in the words of another; the message names the class."""


@dataclass(frozen=True)
class Remapping:
    """Where every class of one label set goes in another.

    Attributes:
        source: label set of the maps that come in.
        target: of those that go out.
        homes: for every class of ``source`` its class in ``target``; of several, a pixel goes to the one
            that is nearest in the picture, as a glove's does to the arm that wears it.

    Raises:
        RemapError: a class of ``source`` has no home, or a home is no class of ``target``.
    """

    source: LabelSet
    target: LabelSet
    homes: Homes

    def __post_init__(self) -> None:
        for name in self.source.classes:
            if not self.homes.get(name):
                raise RemapError(f"{self.source.name} to {self.target.name}: {name!r} has no home; say where it goes")
            for home in self.homes[name]:
                if home not in self.target.classes:
                    raise RemapError(
                        f"{self.source.name} to {self.target.name}: {name!r} goes to {home!r}, which is no class; "
                        f"there are {', '.join(self.target.classes)}"
                    )
        for name in self.homes:
            if name not in self.source.classes:
                raise RemapError(f"{self.source.name} to {self.target.name}: there is no class {name!r} to go anywhere")

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A map (H, W) of ``source`` in the ids of ``target``; ids that are no class stay as they are."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.source)] = [self._ids(name)[0] for name in self.source.classes]
        remapped = table[labels]
        for class_id, name in enumerate(self.source.classes):
            if len(ids := self._ids(name)) > 1:
                _to_nearest(remapped, labels == class_id, ids)
        return remapped

    def scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (C, h, w) of ``source`` as logarithms of the probabilities of ``target``'s classes: each the
        sum over those that go there, shared equally where one goes to several."""
        shares = np.zeros((len(self.target), len(self.source)), dtype=np.float32)
        for class_id, name in enumerate(self.source.classes):
            ids = self._ids(name)
            shares[ids, class_id] = 1 / len(ids)
        probabilities = np.exp(scores - scores.max(axis=0))
        sums = np.tensordot(shares, probabilities / probabilities.sum(axis=0), axes=1)
        return np.log(np.maximum(sums, np.finfo(np.float32).tiny)).astype(np.float32)

    def _ids(self, name: str) -> list[int]:
        return [self.target.classes.index(home) for home in self.homes[name]]


def _to_nearest(labels: NDArray[np.uint8], undecided: NDArray[np.bool_], ids: list[int]) -> None:
    """Give every undecided pixel the nearest of ``ids`` that surely is one, where there is any."""
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
"""What LIP's labels become. ``atr`` has no belts or bags then. ``pascal_person_part`` is rough: LIP does not tell upper
from lower limbs, so bare arms are lower arms, bare legs and shoes lower legs, trousers and skirts upper legs."""


def remapping(source: LabelSet, target: str | os.PathLike[str]) -> Remapping:
    """How ``source`` is said in another label set.

    Args:
        source: of the maps.
        target: one of ``TARGETS``, or a YAML file with ``name``, ``classes`` (name: colour, the background
            first) and ``from`` (class of ``source``: class of its own, or a list of them).

    Raises:
        RemapError: there is no such target, the file does not say all, or a class has no home.
    """
    if str(target) in TARGETS:
        label_set, homes = TARGETS[str(target)]
        if not source.agrees_with(LIP):
            raise RemapError(f"{source.name} to {target}: only LIP's labels are known there; write a YAML file")
        return Remapping(source, label_set, homes)
    path = Path(target)
    if path.suffix not in (".yaml", ".yml"):
        raise RemapError(f"labels {str(target)!r}: expected one of {', '.join(TARGETS)}, or a .yaml file of your own")
    return Remapping(source, *_read(path))


def _read(path: Path) -> tuple[LabelSet, Homes]:
    if not path.is_file():
        raise RemapError(f"{quoted(path)}: no such file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        classes, homes = values["classes"], values["from"]
        palette = tuple(rgb_of(color) for color in classes.values())
        label_set = LabelSet(str(values["name"]), tuple(map(str, classes)), palette)
        return label_set, {str(name): tuple(home if isinstance(home, list) else [home]) for name, home in homes.items()}
    except OSError as error:
        raise RemapError(of_file(error, path)) from None
    except KeyError as error:
        raise RemapError(f"{quoted(path)}: expected name, classes and from, there is no {error.args[0]!r}") from None
    except (AttributeError, TypeError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RemapError(f"{quoted(path)}: expected name, classes (name: colour) and from ({reason})") from None
