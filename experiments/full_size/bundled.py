"""Train the bundled model on a GPU, in pieces of minutes.

    python -m experiments.full_size.bundled train --minutes 9                    the next piece of small, then of base
    python -m experiments.full_size.bundled train --minutes 9.5 --budget 8 small   to the end in eight minutes
    python -m experiments.full_size.bundled try                                  each for two steps, on a CPU

``small`` is the bundled model's network, ``base`` the same on ResNet-101.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.full_size.recipes import BUNDLED, arguments_of, tiny
from ssnan.training.cli import train as run

RUNS = Path("runs/full")
SHORTEST = 0.5
"""Minutes in which no run is started any more."""


def arguments_in(output: Path, name: str, also: Sequence[str], budget: float | None = None) -> list[str]:
    """What ``ssnan train`` is told for one run, which ends after ``budget`` minutes of training at the latest."""
    told = arguments_of(name, also)
    if budget is not None:
        minutes, seconds = divmod(round(60 * budget), 60)
        told += ["--trainer.max_time", f"00:{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"]
    return [*told, "--output", str(output / name)]


def train(output: Path, minutes: float, also: Sequence[str], names: Sequence[str], budget: float | None = None) -> None:
    """Continue with the first unfinished run, then the next, for ``minutes``. The rate of a run falls to zero over its
    crops, or over ``budget`` minutes of all its pieces if those end first."""
    end = time.monotonic() + 60 * minutes
    for name in names or BUNDLED:
        left = (end - time.monotonic()) / 60
        if left < SHORTEST:
            return
        if _finished(output, name):
            continue
        print(f"{name}: {left:.1f} minutes left", flush=True)
        run([*arguments_in(output, name, also, budget), "--stop_after", str(left)])
        gc.collect()  # trainer and data know each other, and the photos in an accelerator's memory with them


def try_out(output: Path, names: Sequence[str]) -> None:
    """Train each unfinished run for an epoch of one step, and continue with its last one, on tiny crops."""
    for name in names or BUNDLED:
        if _finished(output, name):
            continue
        began = time.monotonic()
        for minutes in ("0", "60"):
            run([*arguments_in(output, name, tiny(name)), "--stop_after", minutes])
            gc.collect()
        print(f"{name}: validated, saved and continued in {time.monotonic() - began:.0f} s", flush=True)


def _finished(output: Path, name: str) -> bool:
    return (output / name / "results.json").is_file()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "try"):
        command = commands.add_parser(name)
        command.add_argument(
            "runs", nargs="*", metavar="RUN", choices=[*BUNDLED, []]
        )  # argparse checks [] if none is given
        command.add_argument("-o", "--output", type=Path, default=RUNS)
    limited = commands.choices["train"]
    limited.add_argument("--also", action="append", default=[], metavar="FILE", help="a recipe on top of all others")
    limited.add_argument("--minutes", type=float, required=True, help="of this call")
    limited.add_argument("--budget", type=float, metavar="MINUTES", help="of training that a run has in all its calls")
    told = parser.parse_args()
    if told.command == "train":
        train(told.output, told.minutes, told.also, told.runs, told.budget)
    else:
        try_out(told.output, told.runs)


if __name__ == "__main__":
    main()
