"""Look at a dataset before you train on it. 'check' reads every picture and mask: counts, sizes, ids out of
range, missing pairs, class shares, pictures that both splits hold. Exit status 1 if anything is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssnan.commands.options import FAILED, complain

HELP = "look at a dataset: ssnan data check DIR"
LISTED = 20
"""Problems that are printed one by one."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("check",), help="what to do")
    parser.add_argument("root", type=Path, metavar="DIR", help="the dataset's folder")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from ssnan.data.check import SPLITS, between, check_split, notes, tables
    from ssnan.data.folder import DatasetError
    from ssnan.data.layouts import find_split

    checks = {}
    try:
        for split in SPLITS:
            total = len(find_split(options.root, split).pairs) + 1
            steps = check_split(options.root, split)
            for found in track(steps, f"reading {split}", total=total, console=Console(stderr=True)):
                checks[split] = found
    except DatasetError as error:
        return complain(str(error), FAILED)
    for table in tables(checks):
        Console().print(table)
    shared = between(*checks.values())
    problems = [line for found in checks.values() for line in found.problems] + [f"in both splits, {s}" for s in shared]
    for line in problems[:LISTED]:
        print(line)
    if len(problems) > LISTED:
        print(f"... and {len(problems) - LISTED} more")
    for line in notes(checks):
        print(f"note: {line}")
    print(f"{len(problems)} problems" if problems else "nothing is wrong")
    return FAILED if problems else 0
