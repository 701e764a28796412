"""Measuring a parser on a dataset, with the paper's tables as output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.table import Table

from ssnan.card import ModelCard
from ssnan.data.folder import Sample
from ssnan.labels import LIP, LabelSet
from ssnan.metrics import LIP_MERGED, Confusion, Score, confusion_matrix, merge_lip
from ssnan.parser import Parser


def evaluate(parser: Parser, samples: Iterable[Sample]) -> Confusion:
    """One confusion matrix over all samples, at the pictures' own sizes.

    Raises:
        ValueError: a mask holds an id that the parser's label set lacks; the message names the sample.
    """
    total: Confusion = np.zeros((len(parser.label_set), len(parser.label_set)), dtype=np.int64)
    for sample in samples:
        try:
            total += confusion_matrix(sample.labels, parser(sample.image).labels, parser.label_set)
        except ValueError as error:
            raise ValueError(f"{sample.id}: {error}") from None
    return total


def numbers(confusion: Confusion, label_set: LabelSet) -> dict[str, Any]:
    """All numbers of a confusion matrix as plain values, for JSON.

    ``present`` averages over the classes that the ground truth holds; ``all`` counts a class that
    was only predicted as 0. ``merged`` is background / hair / skin / clothes, for LIP alone.
    """
    values = {
        "present": Score.of_present(confusion).as_dict(label_set),
        "all": Score.of(confusion).as_dict(label_set),
    }
    if label_set == LIP:
        values["merged"] = Score.of_present(merge_lip(confusion)).as_dict(LIP_MERGED)
    return values


def record(card: ModelCard, dataset: str, measured: dict[str, Any]) -> None:
    """Write the numbers measured on ``dataset`` into the card's file, rounded to four places."""
    summary = {key: round(measured["present"][key], 4) for key in ("overall_accuracy", "mean_accuracy", "mean_iou")}
    summary["iou"] = {name: None if v is None else round(v, 4) for name, v in measured["present"]["iou"].items()}
    if "merged" in measured:
        summary["mean_iou_merged"] = round(measured["merged"]["mean_iou"], 4)
    card.about.setdefault("measured", {})[dataset] = summary
    card.write(card.weights().with_suffix(".json"))


def tables(measured: dict[str, Any], label_set: LabelSet) -> list[Table]:
    """The columns of the paper's Table 1, and the per-class row of Table 2 in its order (percent)."""
    present = measured["present"]
    summary = Table(title="over the classes present in the ground truth")
    for column in ("Overall accuracy", "Mean accuracy", "Mean IoU"):
        summary.add_column(column, justify="right")
    summary.add_row(*(_percent(present[key]) for key in ("overall_accuracy", "mean_accuracy", "mean_iou")))

    per_class = Table(title="IoU of each class")
    per_class.add_column("Class")
    per_class.add_column("IoU", justify="right")
    for class_id in label_set.table_order or range(len(label_set)):
        name = label_set.classes[class_id]
        per_class.add_row(name, _percent(present["iou"][name]))
    result = [summary, per_class]
    if "merged" in measured:
        merged = Table(title="labels merged")
        for name in (*LIP_MERGED.classes, "Mean IoU"):
            merged.add_column(name, justify="right")
        merged.add_row(*map(_percent, [*measured["merged"]["iou"].values(), measured["merged"]["mean_iou"]]))
        result.append(merged)
    return result


def _percent(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{100 * value:.2f}"
