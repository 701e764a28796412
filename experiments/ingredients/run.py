"""Train and measure what each source of data buys, and print the table.

    python -m experiments.ingredients.run [--start WEIGHTS] [--seeds 0,1] [-o runs/ingredients]
    python -m experiments.ingredients.run --results experiments/ingredients/results.csv

A row is one file of ``configs/``, trained once a seed, then measured with ``ssnan evaluate`` on four val splits; mean
and half the range of the seeds are printed, in percent, and kept in ``results.csv`` beside the runs. Rows that are done
are not done again. --results prints the table of such a file and trains nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from statistics import mean

from experiments.tables import show, write
from ssnan.errors import unknown

CONFIGS = Path(__file__).parent / "configs"
ROWS = ("start", "masks", "sets", "teacher", "teacher_drawn", "own_teacher", "pasting", "longer")
DATA = ("ccp-lip", "celeba-faces", "selfie-people", "street-people")
COLUMNS = {
    "ccp-lip mIoU": ("ccp-lip", "present", "mean_iou"),
    "merged": ("ccp-lip", "merged", "mean_iou"),
    "portraits: person": ("celeba-faces", "person", "person"),
    "hair": ("celeba-faces", "present", "hair"),
    "face": ("celeba-faces", "present", "face"),
    "selfies: person": ("selfie-people", "person", "person"),
    "street: person": ("street-people", "person", "person"),
}


def train(row: str, seed: int, start: str, output: Path) -> Path:
    where = output / row / f"seed{seed}"
    last = where / "checkpoints" / "last.ckpt"
    if not last.exists():
        command = ["ssnan", "train", "--config", str(CONFIGS / f"{row}.yaml"), "--output", str(where)]
        subprocess.run([*command, "--data.seed", str(seed), "--model.start_from", start], check=True)
    return last


def measure(model: Path, output: Path) -> dict[str, dict[str, dict[str, float | dict[str, float]]]]:
    for data in DATA:
        if not (numbers := output / f"{data}.json").exists():
            command = ["ssnan", "evaluate", "--model", str(model), "--data", f"data/{data}", "--json", str(numbers)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {data: json.loads((output / f"{data}.json").read_text()) for data in DATA}


def value(measured: dict[str, dict[str, dict[str, float | dict[str, float]]]], column: str) -> float:
    data, view, name = COLUMNS[column]
    numbers = measured[data][view]
    found = numbers[name] if name in numbers else numbers["iou"][name]
    return 100 * float(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", default="runs/bundled/ss_nan_step2/checkpoints/best.ckpt")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), default=(0, 1))
    parser.add_argument("--rows", type=lambda text: tuple(text.split(",")), default=ROWS)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ingredients"))
    parser.add_argument("--results", type=Path, metavar="FILE", help="print the table of this file, train nothing")
    options = parser.parse_args()
    if options.results is not None:
        show(options.results)
        return
    if problem := unknown("row", options.rows, tuple(ROWS)):
        parser.error(f"--rows: {problem}")
    table = [["row", *COLUMNS]]
    for row in options.rows:
        seeds = options.seeds[:1] if row == "start" else options.seeds
        measured = []
        for seed in seeds:
            model = train(row, seed, options.start, options.output)
            measured.append(measure(model, model.parents[1]))
        cells = [[value(result, column) for result in measured] for column in COLUMNS]
        table.append([row, *(f"{mean(cell):.1f} ± {(max(cell) - min(cell)) / 2:.1f}" for cell in cells)])
        write(table, options.output / "results.csv")
    show(options.output / "results.csv")


if __name__ == "__main__":
    main()
