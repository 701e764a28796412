"""Write report.md and CSV files with the paper's tables from finished runs. Runs in folders named seed0, seed1, ...
are averaged. runs.csv, one of the files, works in place of the runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssnan.commands.options import FAILED, MISUSED, complain, folder, names, positive
from ssnan.errors import lacks, quoted

HELP = "compare runs in the paper's tables and figures"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=folder, metavar="RUNS", help="folders of runs, or a runs.csv")
    parser.add_argument(
        "--systems", type=names, metavar="A,B", help="only these systems; the others are compared with the first"
    )
    parser.add_argument("-o", "--output", type=folder, default=Path("report"), help="output folder (report)")
    parser.add_argument(
        "--photos",
        type=folder,
        metavar="DIR",
        help="also draw figures of these photos, or of a dataset's val photos with their ground truth; without it, "
        "figures of an earlier report stay",
    )
    parser.add_argument("--count", type=positive, default=4, help="photos per figure (4)")


def run(options: argparse.Namespace) -> int:
    from ssnan.evaluation.report import write
    from ssnan.evaluation.runs import RUNS
    from ssnan.evaluation.systems import read_systems, select

    try:
        systems = read_systems(options.runs)
        if options.systems:
            left_out = [system.name for system in systems if system.name not in options.systems]
            systems = select(systems, options.systems)
            table = options.output / RUNS
            if left_out and table.resolve() in [place.resolve() for place in options.runs]:
                return complain(
                    f"{quoted(table)}: would lose {', '.join(left_out)}; choose another folder with -o", MISUSED
                )
        path = write(systems, options.output)
        written = [path]
        if options.photos is not None:
            from ssnan.evaluation.figures import draw
            from ssnan.training.checkpoint import show

            shown = [show(system.name, system.folders[0] / "checkpoints" / "best.ckpt") for system in systems]
            written += draw(shown, options.photos, options.count, options.output)
    except ModuleNotFoundError as error:
        return complain(lacks("a figure", error, "train"), FAILED)
    except ValueError as error:
        return complain(str(error), FAILED)
    print(path.read_text(encoding="utf-8"))
    print("wrote " + ", ".join(map(quoted, written)))
    return 0
