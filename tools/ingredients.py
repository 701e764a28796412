"""Train and measure what configs/ingredients compares, and print the table.

    ingredients.py [--start WEIGHTS] [--seeds 0,1] [--output runs/ingredients]

A row is one file of configs/ingredients, each trained once a seed, then measured with ``ssnan evaluate`` on four val
splits; mean and half the range of the seeds are printed, in percent. Rows that are done are not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from statistics import mean

ROWS = {
    "start": ("start",),
    "masks": ("masks",),
    "sets": ("sets",),
    "teacher": ("teacher",),
    "teacher_drawn": ("teacher_drawn",),
    "own_teacher": ("own_teacher",),
    "pasting": ("pasting",),
    "longer": ("pasting", "longer"),
}
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
    configs = [part for name in ("base", *ROWS[row]) for part in ("--config", f"ingredients/{name}")]
    where = output / row / f"seed{seed}"
    last = where / "checkpoints" / "last.ckpt"
    if not last.exists():
        command = ["ssnan", "train", *configs, "--output", str(where), "--data.seed", str(seed)]
        subprocess.run([*command, "--model.start_from", start], check=True)
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
    parser.add_argument("--rows", type=lambda text: tuple(text.split(",")), default=tuple(ROWS))
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ingredients"))
    options = parser.parse_args()
    print("| row |", " | ".join(COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for row in options.rows:
        seeds = options.seeds[:1] if row == "start" else options.seeds
        measured = []
        for seed in seeds:
            model = train(row, seed, options.start, options.output)
            measured.append(measure(model, model.parents[1]))
        cells = [[value(one, column) for one in measured] for column in COLUMNS]
        texts = [f"{mean(cell):.1f} ± {(max(cell) - min(cell)) / 2:.1f}" for cell in cells]
        print("|", row, "|", " | ".join(texts), "|", flush=True)


if __name__ == "__main__":
    main()
