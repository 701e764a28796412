"""List the recipes of the systems and the bundled model."""

from __future__ import annotations

import argparse

from rich.table import Table

from ssnan.commands.options import print_tables
from ssnan.parsing.card import bundled_cards
from ssnan.recipes import CONFIGS, shipped, summary

HELP = "list the systems' recipes and the bundled model"


def tables() -> list[Table]:
    """Tables of the recipes, and of the bundled model with its results."""
    recipes = shipped()
    datasets = [folder for folder in recipes if folder != "bundled"]
    systems = Table(title=f"systems: ssnan train --config DATASET/NAME; datasets: {', '.join(datasets)}")
    bundled = Table(title="steps of the bundled model: ssnan train --config bundled/NAME")
    for table, folder in ((systems, datasets[0]), (bundled, "bundled")):
        for column in ("name", "recipe"):
            table.add_column(column, overflow="fold")
        for name in recipes[folder]:
            table.add_row(name, summary(f"{folder}/{name}"))
    weights = Table(title="bundled model: parse with --model NAME")
    for column in ("name", "labels", "size", "measured (mean IoU)", "licence"):
        weights.add_column(column, overflow="fold")
    for card in bundled_cards():
        measured = card.about.get("measured", {})
        means = {name: values["mean_iou"] for name, values in measured.items() if "mean_iou" in values}
        weights.add_row(
            card.name,
            card.label_set.name,
            f"{card.weights().stat().st_size / 1e6:.1f} MB",
            "\n".join(f"{name}: {100 * mean_iou:.1f}" for name, mean_iou in means.items()),
            card.about.get("licence", ""),
        )
    return [systems, bundled, weights]


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    print_tables(tables())
    print(f"recipes are in {CONFIGS}")
    return 0
