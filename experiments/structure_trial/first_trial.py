"""Print the tables of the first trial, which README.md describes.

python -m experiments.structure_trial.first_trial
"""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from ssnan.evaluation.bootstrap import half_width
from ssnan.evaluation.report import markdown

TABLE = Path(__file__).with_name("first_trial.csv")
BASE = "none"
OVER_GROUPS = ("mean IoU", "limb IoU")


class Row(NamedTuple):
    """One number of one arm, on one group of photos.

    Attributes:
        by_seed: the number, seed by seed.
        interval: 95 % of a bootstrap over photos of the mean difference to ``none``; empty where there is none.
    """

    measure: str
    group: str
    photos: int
    arm: str
    by_seed: list[float]
    interval: tuple[float, ...]


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        _, *lines = csv.reader(file)
    return [
        Row(
            measure,
            group,
            int(photos),
            arm,
            list(map(float, numbers[:-2])),
            tuple(map(float, filter(None, numbers[-2:]))),
        )
        for measure, group, photos, arm, *numbers in lines
    ]


def difference(row: Row, base: Row) -> str:
    """Mean difference of an arm to the base, ± half its 95 % interval over seeds (95 % of the bootstrap)."""
    by_seed = [here - there for here, there in zip(row.by_seed, base.by_seed, strict=True)]
    low, high = row.interval
    return f"{mean(by_seed):+.2f} ± {half_width(by_seed):.2f} ({low:+.2f} … {high:+.2f})"


def print_tables(rows: list[Row]) -> None:
    found = {(row.measure, row.group, row.arm): row for row in rows}
    columns, arms = (
        list(dict.fromkeys(names)) for names in zip(*((row.measure, row.arm) for row in rows), strict=True)
    )
    columns = [*OVER_GROUPS, *(column for column in columns if column not in OVER_GROUPS)]
    cells = [[arm, *(f"{mean(found[column, 'all', arm].by_seed):.2f}" for column in columns)] for arm in arms]
    print(markdown([["arm", *columns], *cells]))
    arms.remove(BASE)
    for measure in OVER_GROUPS:
        table = [[f"{measure}, beside `{BASE}`: photos", *arms]]
        for group, photos in {row.group: row.photos for row in rows}.items():
            base = found[measure, group, BASE]
            table.append([f"{group} ({photos})", *(difference(found[measure, group, arm], base) for arm in arms)])
        print(f"\n{markdown(table)}")


if __name__ == "__main__":
    print_tables(read(TABLE))
