"""Measure a parser on a dataset, with the paper's tables as output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ssnan.data.folder import Sample
from ssnan.evaluation.instances import Instances, instances_table
from ssnan.evaluation.metrics import (
    FREQUENT,
    LIP_GROUPS,
    LIP_MERGED,
    PERSON,
    Confusion,
    Score,
    class_counts,
    confusion_matrix,
    frequent_classes,
    merged,
    person_groups,
)
from ssnan.evaluation.structure import Structure
from ssnan.labels import LIP, LabelSet
from ssnan.parsing.card import ModelCard
from ssnan.parsing.parser import Parser


class Measured(NamedTuple):
    """Sums over samples at the photos' sizes, the :func:`class_counts` of each sample by id, and the people of samples
    that tell them apart."""

    confusion: Confusion
    structure: Structure
    photos: dict[str, NDArray[np.int64]]
    instances: Instances


def evaluate(parser: Parser, samples: Iterable[Sample], label_set: LabelSet) -> Measured:
    """Parse every sample and compare it with its mask.

    Args:
        label_set: label set of the samples, with the classes of the parser; its sets may differ. Its regions only count
            if the parser has none.

    Raises:
        ValueError: the classes differ from the parser's, or a mask has an invalid value; the message names the sample.
    """
    if not label_set.agrees_with(parser.label_set):
        raise ValueError(
            f"the dataset has label set {label_set.name!r}, the model {parser.label_set.name!r}: "
            f"{label_set.difference(parser.label_set)}"
        )
    # The joints are those of the model, as in training, so that a dataset needs no joints of its own.
    label_set = replace(label_set, regions=parser.label_set.regions or label_set.regions)
    total: Confusion = np.zeros((len(label_set) + len(label_set.sets), len(label_set)), dtype=np.int64)
    structure = Structure(label_set)
    photos, instances = {}, Instances(label_set)
    for sample in samples:
        result = parser(sample.image)
        try:
            confusion = confusion_matrix(sample.labels, result.labels, label_set)
        except ValueError as error:
            raise ValueError(f"{sample.id}: {error}") from None
        total += confusion
        photos[sample.id] = class_counts(confusion, label_set.sets)
        structure.add(sample.labels, result.labels, result.confidence, sample.keypoints)
        if sample.instances is not None:
            instances.add(sample.labels, sample.instances, result)
    return Measured(total, structure, photos, instances)


def limb_iou(iou: Mapping[str, float | None], label_set: LabelSet) -> float | None:
    """The mean of an IoU by class name over the classes with a side; None if there are none."""
    found = [iou[label_set.classes[i]] for pair in label_set.flip_pairs for i in pair]
    present = [value for value in found if value is not None]
    return mean(present) if present else None


def of_frequent(iou: Mapping[str, float | None], classes: Sequence[str]) -> dict[str, Any]:
    """The mean IoU over ``classes`` from :func:`frequent_classes`, with their names; None if there are none."""
    found = [one for name in classes if (one := iou[name]) is not None]
    return {"classes": list(classes), "mean_iou": mean(found) if found else None}


def numbers(confusion: Confusion, label_set: LabelSet, photos: Mapping[str, Any]) -> dict[str, Any]:
    """All numbers of a confusion matrix, and of the ``photos`` that it sums, as plain values for JSON.

    ``present`` averages over the classes in the ground truth. ``all`` also counts classes that were only predicted, as
    0. ``frequent_classes`` averages over classes in enough photos. ``limb_iou`` is the mean over classes with a side.
    ``person`` has two classes. ``merged`` is background / hair / skin / clothes, only for LIP. ``sets`` is the share of
    each set's pixels with a prediction in the set.
    """
    sets = label_set.sets
    person = merged(confusion, person_groups(label_set), sets)
    values: dict[str, Any] = {
        "present": Score.of_present(confusion, sets).to_dict(label_set),
        "all": Score.of(confusion, sets).to_dict(label_set),
        "person": Score.of_present(person).to_dict(PERSON),
    }
    frequent = frequent_classes(photos, label_set)
    values["frequent_classes"] = of_frequent(values["present"]["iou"], frequent)
    if label_set.flip_pairs:
        values["limb_iou"] = limb_iou(values["present"]["iou"], label_set)
    if label_set.agrees_with(LIP):
        values["merged"] = Score.of_present(merged(confusion, LIP_GROUPS, sets)).to_dict(LIP_MERGED)
    for class_set, row in zip(sets, confusion[len(label_set) :], strict=True):
        share = row[list(class_set.class_ids)].sum() / row.sum() if row.any() else None
        values.setdefault("sets", {})[label_set.describe(class_set)] = share
    return values


def record(card: ModelCard, dataset: str, measured: dict[str, Any]) -> None:
    """Write the numbers measured on ``dataset`` to the card's file, rounded to four decimals. Masks without parts have
    no mean over classes: it would be the IoU of the background alone."""
    summary: dict[str, Any] = {}
    if _has_parts(measured):
        present = measured["present"]
        summary |= {key: round(present[key], 4) for key in ("overall_accuracy", "mean_accuracy", "mean_iou")}
        summary["iou"] = {name: None if v is None else round(v, 4) for name, v in present["iou"].items()}
    if measured["person"]["iou"]["person"] is not None:  # the photos show people
        summary["iou_person"] = round(measured["person"]["iou"]["person"], 4)
    if measured["structure"]["limb_pairs"]:
        summary |= {name: measured["structure"][name] for name in ("limb_pairs", "limb_pairs_swapped")}
    for name in ("sides_right", "keypoints_on_person", "false_people"):
        if measured["structure"][name] is not None:
            summary[name] = round(measured["structure"][name], 4)
    if "merged" in measured and _has_parts(measured):
        summary["mean_iou_merged"] = round(measured["merged"]["mean_iou"], 4)
    card.about.setdefault("measured", {})[dataset] = summary
    card.write(card.weights().with_suffix(".json"))


def _has_parts(measured: dict[str, Any]) -> bool:
    """Whether a mask has a class besides the background."""
    _, *parts = measured["present"]["iou"].values()
    return any(iou is not None for iou in parts)


def tables(measured: dict[str, Any], label_set: LabelSet) -> list[Table]:
    """The columns of the paper's Table 1, and the row of Table 2 in its order (percent), unless the masks have no
    parts; and what else was measured."""
    parts = _has_parts(measured)
    result = _classes(measured, label_set) if parts else []
    people = Table(title="person against background" if parts else "person against background; the masks have no parts")
    for name in (*PERSON.classes, "Mean IoU"):
        people.add_column(name, justify="right")
    people.add_row(*map(_percent, [*measured["person"]["iou"].values(), measured["person"]["mean_iou"]]))
    result.append(people)
    result.append(_structure(measured))
    if (answers := _people(measured)).row_count:
        result.append(answers)
    if "instances" in measured:
        result.append(instances_table(measured["instances"]))
    if "sets" in measured:
        sets = Table(title="pixels of sets of classes with a prediction in the set")
        sets.add_column("Set")
        sets.add_column("%", justify="right")
        for name, share in measured["sets"].items():
            sets.add_row(name, _percent(share))
        result.append(sets)
    return result


def _classes(measured: dict[str, Any], label_set: LabelSet) -> list[Table]:
    """The tables of the classes."""
    present = measured["present"]
    summary = Table(title="over the classes in the ground truth")
    frequent = measured["frequent_classes"]
    values = {
        "Overall accuracy": present["overall_accuracy"],
        "Mean accuracy": present["mean_accuracy"],
        "Mean IoU": present["mean_iou"],
    }
    if count := len(frequent["classes"]):
        values[f"Mean IoU of the {count} classes in {FREQUENT} photos or more"] = frequent["mean_iou"]
    for column in values:
        summary.add_column(column, justify="right")
    summary.add_row(*map(_percent, values.values()))

    per_class = Table(title="IoU of each class")
    per_class.add_column("Class")
    per_class.add_column("IoU", justify="right")
    for class_id in label_set.table_order or range(len(label_set)):
        name = label_set.classes[class_id]
        per_class.add_row(name, _percent(present["iou"][name]))
    result = [summary, per_class]
    if "merged" in measured:
        table = Table(title="labels merged")
        for name in (*LIP_MERGED.classes, "Mean IoU"):
            table.add_column(name, justify="right")
        table.add_row(*map(_percent, [*measured["merged"]["iou"].values(), measured["merged"]["mean_iou"]]))
        result.append(table)
    return result


def _structure(measured: dict[str, Any]) -> Table:
    found = measured["structure"]
    table = Table(title="structure: limbs, joints of the label map, calibration")
    for name in ("Limb IoU", "Limb pairs", "swapped", "Joint offset, %", "Joints missed, %", "Calibration error, %"):
        table.add_column(name, justify="right")
    table.add_row(
        _percent(measured.get("limb_iou")),
        str(found["limb_pairs"]),
        str(found["limb_pairs_swapped"]),
        *(_percent(found[name]) for name in ("label_map_joint_offset", "label_map_joints_missed", "calibration_error")),
    )
    return table


def _people(measured: dict[str, Any]) -> Table:
    found = measured["structure"]
    table = Table(title="people: sides at marked keypoints, photos without people")
    table.add_column("Question")
    table.add_column("%", justify="right")
    for name, question in (
        ("keypoints_on_person", "visible limb keypoints on a person"),
        ("keypoints_on_limb", "visible limb keypoints on an arm, a leg or a shoe"),
        ("sides_right", "of those, with the correct side"),
        ("false_people", f"photos without people ({found['photos_without_people']}) with more than 2 % person"),
    ):
        if found[name] is not None:
            table.add_row(question, _percent(found[name]))
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{100 * value:.2f}"
