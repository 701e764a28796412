"""Tables of an experiment: kept as CSV, printed as Markdown."""

from __future__ import annotations

import csv
from pathlib import Path

from ssnan.evaluation.report import Row, markdown


def write(rows: list[Row], path: Path) -> None:
    """Write a table; the first row is its head."""
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def show(path: Path) -> None:
    """Print a table that :func:`write` wrote."""
    with path.open(newline="") as file:
        print(markdown(list(csv.reader(file))))
