"""The README of a model on the hub, from its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ssnan.labels import LabelSet

TASK = "image-segmentation"

BEGINNING = "---\nlibrary_name: ssnan\n"
"""The first lines of :func:`readme`."""


def readme(name: str, label_set: LabelSet, about: Mapping[str, Any], use: str) -> str:
    """The text of ``README.md``, with the hub's metadata first.

    Args:
        name: name of the model.
        label_set: its label set.
        about: notes of its card; ``measured`` becomes a table, and missing notes are left out.
        use: Python code that loads and runs it.
    """
    measured: Mapping[str, Mapping[str, Any]] = about.get("measured", {})
    metadata = ModelCardData(
        library_name="ssnan",
        pipeline_tag=TASK,
        license="other",
        license_name="see-model-page",
        tags=["human-parsing", label_set.name],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type=TASK,
                dataset_type=data,
                dataset_name=data,
                metric_type="mean_iou",
                metric_name="mean IoU",
                metric_value=round(100 * values["mean_iou"], 1),
            )
            for data, values in measured.items()
            if values.get("mean_iou") is not None
        ]
        or None,
    )
    sections = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {name}",
        str(about.get("summary", "Human parsing: a label for every pixel of a photo.")),
        f"```python\n{use.strip()}\n```",
        f"**Labels** ({label_set.name}): {', '.join(label_set.classes)}. Left and right are the person's own.",
        *_section("Measured", _table(measured)),
        *_section("Limits", str(about.get("limits", ""))),
        *_section("Trained on", _list(about.get("data", {}))),
        *_section("Teachers", _list(about.get("teachers", {}))),
        *_section("Training", str(about.get("training", ""))),
        *_section("How its numbers were chosen", str(about.get("selection", ""))),
        *_section("Licence", str(about.get("licence", ""))),
    ]
    return "\n\n".join(sections) + "\n"


def is_readme(path: Path) -> bool:
    """Whether a file has the first lines of :func:`readme`."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(BEGINNING)
    except OSError:
        return False


def _section(title: str, text: str) -> list[str]:
    return [f"## {title}", text] if text else []


def _list(entries: Mapping[str, Any]) -> str:
    return "\n".join(f"- **{name}**: {text}" for name, text in entries.items())


def _table(measured: Mapping[str, Mapping[str, Any]]) -> str:
    columns = {"mean_iou": "mean IoU", "iou_person": "person", "mean_iou_merged": "merged"}
    found = [key for key in columns if any(values.get(key) is not None for values in measured.values())]
    if not found:
        return ""
    rows = [
        [data, *("" if values.get(key) is None else f"{100 * values[key]:.1f}" for key in found)]
        for data, values in measured.items()
        if any(values.get(key) is not None for key in found)
    ]
    head = ["data, engine", *(columns[key] for key in found)]
    lines = [head, ["---"] * len(head), *rows]
    return "Percent.\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
