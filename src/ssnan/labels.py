"""Label sets: LIP, PASCAL-Person-Part, ATR, and those that users define."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Region:
    """Classes whose common centre is one joint of the joint loss (Section 3.3, Figure 3)."""

    name: str
    class_ids: tuple[int, ...]


@dataclass(frozen=True)
class ClassSet:
    """A mask value for pixels that belong to one of several classes."""

    value: int
    class_ids: tuple[int, ...]


FIRST_SET = 100
"""The smallest mask value of a set."""

UNKNOWN_PERSON = 255
"""In a map of people, the value of pixels whose person is unknown; they do not count."""


@dataclass(frozen=True)
class LabelSet:
    """Names, colours and symmetry of the classes of a parser.

    Attributes:
        name: short name, written into results and model cards.
        classes: class names; the position is the label id.
        palette: one RGB colour (0-255) per class.
        flip_pairs: ids that swap in a mirrored photo, such as left and right arm. Left and right are always the
            person's own.
        regions: the regions of the joint loss.
        table_order: order of the classes in the published tables; ids ascending if empty.
        ignore_index: mask value that training and metrics ignore.
        sets: mask values of 100 and more for pixels that belong to one of several classes.

    Raises:
        ValueError: there is no class, lengths differ, a class name cannot be part of a file name or a list, a colour is
            invalid, an id is not an integer or out of range, an id is in two flip pairs, or a set has fewer than two
            classes or a used value.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[RGB, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    regions: tuple[Region, ...] = ()
    table_order: tuple[int, ...] = ()
    ignore_index: int = 255
    sets: tuple[ClassSet, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.classes)
        if not count:
            raise ValueError(f"label set {self.name!r}: expected at least the background as a class, got none")
        if len(self.palette) != count:
            raise ValueError(
                f"label set {self.name!r}: expected one colour for each of the {count} classes, "
                f"got {len(self.palette)} colours"
            )
        for name in self.classes:
            if not isinstance(name, str) or not name.isprintable() or not name.strip(". ") or set(name) & set("/\\:,"):
                raise ValueError(
                    f"label set {self.name!r}: class names become part of file names and of lists; expected printable "
                    f"names without / \\ : and commas, got {name!r}"
                )
        for color in self.palette:
            if len(color) != 3 or not all(isinstance(level, int) and 0 <= level <= 255 for level in color):
                raise ValueError(f"label set {self.name!r}: expected colours of three integers in 0..255, got {color}")
        if len(set(self.classes)) != count:
            raise ValueError(f"label set {self.name!r}: two classes have the same name")
        ids = [
            *(i for pair in self.flip_pairs for i in pair),
            *(i for region in self.regions for i in region.class_ids),
            *(i for class_set in self.sets for i in (class_set.value, *class_set.class_ids)),
            *self.table_order,
            self.ignore_index,
        ]
        if wrong := [i for i in ids if not isinstance(i, int) or isinstance(i, bool)]:
            raise ValueError(f"label set {self.name!r}: expected integers as ids and values, got {wrong[0]!r}")
        if not count <= self.ignore_index <= 255:
            raise ValueError(
                f"label set {self.name!r}: expected an ignored value from {count} to 255, which is no class id, "
                f"got {self.ignore_index}"
            )
        paired = [class_id for pair in self.flip_pairs for class_id in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"label set {self.name!r}: a class is in two flip pairs: {self.flip_pairs}")
        used = [*paired, *(i for region in self.regions for i in region.class_ids)]
        for class_id in used:
            if not 0 <= class_id < count:
                raise ValueError(
                    f"label set {self.name!r}: class id {class_id} in flip_pairs or regions is not in 0..{count - 1}"
                )
        if self.table_order and sorted(self.table_order) != list(range(count)):
            raise ValueError(f"label set {self.name!r}: table_order must name every class once")
        values = [class_set.value for class_set in self.sets]
        for class_set in self.sets:
            if not max(FIRST_SET, count) <= class_set.value <= 255 or class_set.value == self.ignore_index:
                raise ValueError(
                    f"label set {self.name!r}: expected the mask value of a set in {max(FIRST_SET, count)}..255 "
                    f"and not the ignored {self.ignore_index}, got {class_set.value}"
                )
            if len(set(class_set.class_ids)) < 2 or not all(0 <= i < count for i in class_set.class_ids):
                raise ValueError(
                    f"label set {self.name!r}: set {class_set.value}: expected two classes or more in "
                    f"0..{count - 1}, got {list(class_set.class_ids)}"
                )
        if len(set(values)) != len(values):
            raise ValueError(f"label set {self.name!r}: two sets have the same mask value: {values}")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def flip_permutation(self) -> NDArray[np.int64]:
        """The id of each class in a mirrored photo, shape (C,). The permutation is its own inverse."""
        permutation = np.arange(len(self))
        for left, right in self.flip_pairs:
            permutation[[left, right]] = right, left
        return permutation

    @property
    def membership(self) -> NDArray[np.bool_]:
        """The possible classes of each mask value, shape (256, C): a class itself, the members of a set, and none
        for any other value."""
        table = np.zeros((256, len(self)), dtype=np.bool_)
        table[range(len(self)), range(len(self))] = True
        for class_set in self.sets:
            table[class_set.value, list(class_set.class_ids)] = True
        return table

    def describe(self, class_set: ClassSet) -> str:
        """A set in words: its members or, if that is shorter, the classes outside it."""
        absent = [name for i, name in enumerate(self.classes) if i not in class_set.class_ids]
        if len(absent) < len(class_set.class_ids) / 2:
            return "all but " + ", ".join(absent)
        return "one of " + ", ".join(self.classes[i] for i in class_set.class_ids)

    @property
    def person(self) -> NDArray[np.bool_]:
        """Whether each mask value excludes the background, shape (256,)."""
        return self.membership.any(axis=1) & ~self.membership[:, 0]

    @property
    def head(self) -> NDArray[np.bool_]:
        """Whether each mask value is a class of the region ``head``, shape (256,); none is if there is no such
        region."""
        table = np.zeros(256, dtype=np.bool_)
        table[[i for region in self.regions if region.name == "head" for i in region.class_ids]] = True
        return table

    @property
    def flip_table(self) -> NDArray[np.uint8]:
        """Each mask value in a mirrored photo, shape (256,).

        Raises:
            ValueError: the mirror image of a set is not a set; :meth:`united` adds it.
        """
        table = np.arange(256, dtype=np.uint8)
        table[: len(self)] = self.flip_permutation
        values = {frozenset(class_set.class_ids): class_set.value for class_set in self.sets}
        for class_set in self.sets:
            mirrored = frozenset(int(self.flip_permutation[i]) for i in class_set.class_ids)
            if mirrored not in values:
                raise ValueError(f"label set {self.name!r}: no set is the mirror image of {class_set.value}")
            table[class_set.value] = values[mirrored]
        return table

    def agrees_with(self, other: LabelSet) -> bool:
        """Whether ids and the ignored value have the same meaning; colours, regions and sets may differ."""
        own, others = ((s.classes, set(s.flip_pairs), s.ignore_index) for s in (self, other))
        return own == others

    def difference(self, other: LabelSet) -> str:
        """The first difference that :meth:`agrees_with` finds, in words; this label set comes first."""
        if len(self) != len(other):
            return f"{len(self)} classes, not {len(other)}"
        for class_id, (name, others) in enumerate(zip(self.classes, other.classes, strict=True)):
            if name != others:
                return f"class {class_id} is {name!r}, not {others!r}"
        if self.ignore_index != other.ignore_index:
            return f"the ignored value is {self.ignore_index}, not {other.ignore_index}"
        return f"pairs {sorted(self.flip_pairs)}, not {sorted(other.flip_pairs)}"

    def united(self, others: Iterable[LabelSet]) -> LabelSet:
        """This label set with all sets of ``others`` and their mirror images, renumbered.

        Raises:
            ValueError: there are more sets than mask values.
        """
        found: dict[frozenset[int], None] = {}
        for class_set in (class_set for other in (self, *others) for class_set in other.sets):
            found[frozenset(class_set.class_ids)] = None
            found[frozenset(int(self.flip_permutation[i]) for i in class_set.class_ids)] = None
        free = (value for value in range(max(FIRST_SET, len(self)), 256) if value != self.ignore_index)
        numbered = tuple(ClassSet(value, tuple(sorted(ids))) for value, ids in zip(free, found, strict=False))
        if len(numbered) < len(found):
            raise ValueError(f"label set {self.name!r}: {len(found)} sets, but only {len(numbered)} mask values")
        return replace(self, sets=numbered)

    def values_in(self, other: LabelSet) -> NDArray[np.uint8]:
        """Each mask value of this label set in ``other``, which contains all its sets, shape (256,)."""
        table = np.arange(256, dtype=np.uint8)
        values = {frozenset(class_set.class_ids): class_set.value for class_set in other.sets}
        for class_set in self.sets:
            table[class_set.value] = values[frozenset(class_set.class_ids)]
        return table

    @property
    def color_table(self) -> NDArray[np.uint8]:
        """The colour of each uint8 id, uint8 of shape (256, 3); white for ids without a class."""
        table = np.full((256, 3), 255, dtype=np.uint8)
        table[: len(self)] = self.palette
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML, as in model cards and checkpoints."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelSet:
        """The inverse of :meth:`to_dict`; also accepts its values after a round trip through JSON."""
        return cls(
            name=values["name"],
            classes=tuple(values["classes"]),
            palette=tuple(tuple(color) for color in values["palette"]),
            flip_pairs=tuple((left, right) for left, right in values["flip_pairs"]),
            regions=tuple(Region(region["name"], tuple(region["class_ids"])) for region in values["regions"]),
            table_order=tuple(values["table_order"]),
            ignore_index=values["ignore_index"],
            sets=tuple(
                ClassSet(class_set["value"], tuple(class_set["class_ids"])) for class_set in values.get("sets", ())
            ),
        )


LIP = LabelSet(
    name="lip",
    classes=(
        "background", "hat", "hair", "gloves", "sunglasses", "upper-clothes", "dress", "coat", "socks", "pants",
        "jumpsuits", "scarf", "skirt", "face", "left-arm", "right-arm", "left-leg", "right-leg", "left-shoe",
        "right-shoe",
    ),
    palette=(
        (0, 0, 0), (128, 0, 0), (255, 0, 0), (0, 85, 0), (170, 0, 51), (255, 85, 0), (0, 0, 85), (0, 119, 221),
        (85, 85, 0), (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 255), (51, 170, 221),
        (0, 255, 255), (85, 255, 170), (170, 255, 85), (255, 255, 0), (255, 170, 0),
    ),
    flip_pairs=((14, 15), (16, 17), (18, 19)),
    regions=(
        Region("head", (1, 2, 4, 13)),
        Region("upper-body", (5, 7, 11)),
        Region("lower-body", (9, 12)),
        Region("left-arm", (14,)),
        Region("right-arm", (15,)),
        Region("left-leg", (16,)),
        Region("right-leg", (17,)),
        Region("left-shoe", (18,)),
        Region("right-shoe", (19,)),
    ),
    table_order=(*range(1, 20), 0),
)  # fmt: skip
"""Look into Person: 20 classes, nine joints (Section 3.3, which lists the classes of the head; the others are those of
the Caffe code of Attention+SSL). Dress, jumpsuits, socks and gloves belong to no joint. Table 2 lists the background
last."""

PASCAL_PERSON_PART = LabelSet(
    name="pascal_person_part",
    classes=("background", "head", "torso", "upper-arms", "lower-arms", "upper-legs", "lower-legs"),
    palette=(
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
    ),
    regions=tuple(
        Region(name, (class_id,))
        for class_id, name in enumerate(
            ("head", "torso", "upper-arms", "lower-arms", "upper-legs", "lower-legs"), start=1
        )
    ),
    table_order=(*range(1, 7), 0),
)  # fmt: skip
"""PASCAL-Person-Part: 7 classes. The paper defines no joints for it. We use the centres of the six parts, which
are ill-defined if a photo shows several people."""

ATR = LabelSet(
    name="atr",
    classes=(
        "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress", "belt", "left-shoe",
        "right-shoe", "face", "left-leg", "right-leg", "left-arm", "right-arm", "bag", "scarf",
    ),
    palette=(
        (0, 0, 0), (128, 0, 0), (255, 0, 0), (170, 0, 51), (255, 85, 0), (0, 128, 0), (0, 85, 85), (0, 0, 85),
        (0, 85, 0), (255, 255, 0), (255, 170, 0), (0, 0, 255), (85, 255, 170), (170, 255, 85), (51, 170, 221),
        (0, 255, 255), (85, 51, 0), (52, 86, 128),
    ),
    flip_pairs=((9, 10), (12, 13), (14, 15)),
    regions=(
        Region("head", (1, 2, 3, 11)),
        Region("upper-body", (4, 17)),
        Region("lower-body", (5, 6)),
        Region("left-arm", (14,)),
        Region("right-arm", (15,)),
        Region("left-leg", (12,)),
        Region("right-leg", (13,)),
        Region("left-shoe", (9,)),
        Region("right-shoe", (10,)),
    ),
)  # fmt: skip
"""ATR: 18 classes, here in the colours of LIP's classes of the same name, with LIP's joints."""

LIP_MERGED = LabelSet(
    name="lip_merged",
    classes=("background", "hair", "skin", "clothes"),
    palette=((0, 0, 0), (255, 0, 0), (0, 0, 255), (255, 85, 0)),
)
"""LIP merged to four classes, for comparison with parsers that use other labels."""

LABEL_SETS = {label_set.name: label_set for label_set in (LIP, PASCAL_PERSON_PART, ATR)}


def label_set_by_name(name: str) -> LabelSet:
    """The label set named ``name``.

    Raises:
        ValueError: there is no such label set.
    """
    if name not in LABEL_SETS:
        raise ValueError(f"no label set {name!r}; expected one of {', '.join(sorted(LABEL_SETS))}")
    return LABEL_SETS[name]
