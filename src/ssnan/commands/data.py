"""Check or pack a dataset. 'check' reads every photo and mask, and prints counts, sizes, ids out of range, missing and
unused masks, class shares, and photos in both splits. It exits with status 1 if anything is wrong. 'pack' writes the
dataset into a few large files, WebDataset tars or Parquet, that work in place of the folder."""

from __future__ import annotations

import argparse

from ssnan.commands.options import FAILED, MISUSED, complain, folder, positive, print_tables
from ssnan.errors import lacks, of_file, quoted

HELP = "check or pack a dataset: ssnan data check DIR"
LISTED = 20
"""Problems that are printed; the others are counted."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("check", "pack"), help="check or pack")
    parser.add_argument("root", type=folder, metavar="DIR", help="folder of the dataset")
    group = parser.add_argument_group("pack")
    group.add_argument("-o", "--output", type=folder, help="folder of the packed dataset")
    group.add_argument("--into", choices=("webdataset", "parquet"), help="format (webdataset)")
    group.add_argument("--shard", type=positive, metavar="N", help="samples per file (1000)")


def run(options: argparse.Namespace) -> int:
    if options.action == "pack":
        return _pack(options)
    if options.output or options.into or options.shard:
        return complain("check: writes nothing; -o, --into and --shard are options of pack", MISUSED)
    return _check(options)


def _pack(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from ssnan.data.check import SPLITS
    from ssnan.data.layouts import open_split
    from ssnan.data.packed import INDEX, pack

    if options.output is None:
        return complain("pack: expected -o FOLDER for the packed dataset", MISUSED)
    if (options.output / INDEX).exists():
        return complain(f"{quoted(options.output)}: contains a packed dataset; choose another folder", MISUSED)
    try:
        splits = {split: open_split(options.root, split) for split in SPLITS}
        total = sum(map(len, splits.values()))
        per_file = options.shard or 1000
        shards = pack(splits, options.output, options.into or "webdataset", per_file)
        for _ in track(shards, "packing", total=-(-total // per_file), console=Console(stderr=True)):
            pass
    except OSError as error:
        return complain(of_file(error, options.output), FAILED)
    except ModuleNotFoundError as error:
        return complain(lacks("pack: Parquet", error, "cluster"), FAILED)
    print(f"{total} samples packed into {quoted(options.output)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from ssnan.data.check import SPLITS, between, check_split, notes, tables
    from ssnan.data.layouts import find_split

    checks = {}
    for split in SPLITS:
        total = len(find_split(options.root, split).pairs) + 1
        steps = check_split(options.root, split)
        for found in track(steps, f"reading {split}", total=total, console=Console(stderr=True)):
            checks[split] = found
    print_tables(tables(checks))
    shared = between(*checks.values())
    problems = [line for found in checks.values() for line in found.problems] + [f"in both splits, {s}" for s in shared]
    for line in problems[:LISTED]:
        print(line)
    if len(problems) > LISTED:
        print(f"... and {len(problems) - LISTED} more")
    for line in notes(checks):
        print(f"note: {line}")
    if shared:
        print("photos in both splits make val look too good; list them in one split")
    print(f"problems: {len(problems)}" if problems else "nothing is wrong")
    return FAILED if problems else 0
