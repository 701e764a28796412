"""List the systems, their recipes and the bundled models."""

from __future__ import annotations

import argparse
import ast
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from ssnan.parsing.card import bundled_cards
from ssnan.recipes import CONFIGS, shipped

HELP = "list systems, recipes and bundled models"


class System(NamedTuple):
    """A network of :mod:`ssnan.models`.

    Attributes:
        class_path: its name in a recipe.
        source: its paper, the first sentence of its file.
    """

    class_path: str
    source: str


def systems() -> list[System]:
    """Every network in :mod:`ssnan.models`, read from the source files, because importing them needs torch."""
    found = []
    for path in sorted(Path(str(resources.files("ssnan") / "models")).glob("*.py")):
        # The subclasses of ParsingNetwork would be shorter, but listing them needs torch.
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and any(
                getattr(base, "id", "") == "ParsingNetwork" for base in node.bases
            ):
                source = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
                found.append(System(f"ssnan.models.{path.stem}.{node.name}", source))
    return found


def tables() -> list[Table]:
    """Tables of the systems, the recipes, and the bundled models with their results."""
    known = Table(title="systems")
    for column in ("class_path", "source"):
        known.add_column(column, overflow="fold")
    for system in systems():
        known.add_row(*system)
    trained = Table(title="recipes: train one with ssnan train --config NAME, such as lip/ss_nan")
    for column in ("for", "names"):
        trained.add_column(column, overflow="fold")
    for folder, names in shipped().items():
        trained.add_row(f"{folder}/", ", ".join(names))
    weights = Table(title="bundled models: parse with --model NAME")
    for column in ("name", "labels", "size", "measured (mean IoU)", "licence"):
        weights.add_column(column, overflow="fold")
    for card in bundled_cards():
        measured = card.about.get("measured", {})
        weights.add_row(
            card.name,
            card.label_set.name,
            f"{card.weights().stat().st_size / 1e6:.1f} MB",
            "\n".join(f"{name}: {100 * values['mean_iou']:.1f}" for name, values in measured.items()),
            card.about.get("licence", ""),
        )
    return [known, trained, weights]


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    for table in tables():
        Console().print(table)
    print(f"recipes are in {CONFIGS}")
    return 0
