"""What is worth an accelerator, in pieces of minutes: the bundled models and the paper's systems at full size.

    python -m experiments.full_size.run measure [RUN...]                        speed, memory, share of the chip's peak
    python -m experiments.full_size.run profile [RUN...]                        which operations take a step's time
    python -m experiments.full_size.run train --minutes 9 [RUN...]              the next piece of these runs, in order
    python -m experiments.full_size.run train --minutes 9.5 --budget 8 small      one run, to the end in eight minutes
    python -m experiments.full_size.run try [RUN...]                            each run for two steps, on a processor

Runs are ``small`` and ``base``, the bundled model's recipe; the paper's network ``ss_nan``, its poolings and single
scale, and its rivals, all but SegNet on ResNet-101 and at one budget; and second steps from ``ss_nan``, with each arm
of the structure trial. ``experiments.full_size.pack`` moves data and weights.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

RUNS = Path("runs/full")
CONFIGS = Path(__file__).parent / "configs"
TRIAL = Path(__file__).parent.parent / "structure_trial" / "configs"
SHORTEST = 0.5
"""Minutes in which no run is started any more."""


def piece(name: str) -> str:
    """A file of ``configs/``, which goes on top of a recipe."""
    return str(CONFIGS / f"{name}.yaml")


SOURCES, RESNET101 = piece("sources"), piece("resnet101")
BUNDLED = ["bundled/full", piece("bundled")]
BUDGET = [SOURCES, piece("budget")]
ARMS = ("none", "product", "weighted", "decided", "sides")
STEP1 = {
    "small": BUNDLED,
    "base": [*BUNDLED, piece("base")],
    "ss_nan": ["lip/ss_nan", *BUDGET, RESNET101],
    **{name: ["lip/ss_nan", *BUDGET, RESNET101, piece(name)] for name in ("skip_net", "average", "maximum")},
    "deeplab_v2": ["lip/deeplab_v2_resnet101", *BUDGET, RESNET101],
    **{name: [f"lip/{name}", *BUDGET, RESNET101] for name in ("attention", "hazn", "lg_lstm")},
    **{name: [f"lip/{name}", *BUDGET, piece(name)] for name in ("fcn_8s", "segnet")},
}
STEP2 = {
    "ss_nan_step2": ("ss_nan", ["lip/ss_nan_step2", piece("step2")]),
    "attention_ssl": ("attention", ["lip/attention_ssl", piece("step2")]),
    **{f"ss_nan_{arm}": ("ss_nan", ["lip/ss_nan_step2", piece("step2"), str(TRIAL / f"{arm}.yaml")]) for arm in ARMS},
}
ORDER = (
    *((name, 0) for name in ("small", "ss_nan", "ss_nan_step2", "ss_nan_none", "base")),
    *((name, 0) for name in STEP1 if name not in ("small", "ss_nan", "base")),
    ("attention_ssl", 0),
    *((f"ss_nan_{arm}", 0) for arm in ARMS[1:]),
    *(
        (name, seed)
        for seed in (1, 2)
        for name in ("ss_nan", *(f"ss_nan_{arm}" for arm in ARMS), "maximum", "skip_net")
    ),
)
"""Runs and seeds, what matters most first."""


def arguments_of(name: str, seed: int, also: list[str], budget: float | None = None) -> list[str]:
    """What ``ssnan train`` is told for one run, which ends after ``budget`` minutes of training at the latest."""
    first, extra = STEP2.get(name, (name, []))
    files = [*STEP1[first], *extra, *also]
    told = [flag for file in files for flag in ("--config", file)]
    if name in STEP2:
        told += ["--model.start_from", str(_folder(first, seed) / "checkpoints/best.ckpt")]
    if budget is not None:
        minutes, seconds = divmod(round(60 * budget), 60)
        told += ["--trainer.max_time", f"00:{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"]
    told += ["--output", str(_folder(name, seed))]
    return [*told, "--seed_everything", str(seed), "--data.seed", str(seed)]


def train(minutes: float, also: list[str], names: list[str], budget: float | None = None) -> None:
    """Continue with the first unfinished run (of ``names``, if there are any), then the next, for ``minutes``. The rate
    of a run falls to zero over its crops, or over ``budget`` minutes of all its pieces if those end first."""
    from ssnan.training.cli import train as run

    end = time.monotonic() + 60 * minutes
    for name, seed in ORDER:
        left = (end - time.monotonic()) / 60
        if left < SHORTEST:
            return
        if (names and name not in names) or _finished(name, seed):
            continue
        first, _ = STEP2.get(name, (name, []))
        if first != name and not _finished(first, seed):
            print(f"{name}, seed {seed}: waits for {first}")
            continue
        print(f"{name}, seed {seed}: {left:.1f} minutes left", flush=True)
        run([*arguments_of(name, seed, also, budget), "--stop_after", str(left)])
        gc.collect()  # trainer and data know each other, and the photos in an accelerator's memory with them


def try_out(names: list[str]) -> None:
    """Train each unfinished run for an epoch of one step, and continue with its last one, on tiny crops. First steps
    go before the second steps that start from them."""
    from ssnan.training.cli import train as run

    for name in names or [*STEP1, *STEP2]:
        if _finished(name, 0):
            continue
        began = time.monotonic()
        for minutes in ("0", "60"):
            run([*arguments_of(name, 0, tiny(name)), "--stop_after", minutes])
            gc.collect()
        for path in _folder(name, 0).glob("checkpoints/[!b]*.ckpt"):
            path.unlink()  # second steps need the best alone
        print(f"{name}: validated, saved and continued in {time.monotonic() - began:.0f} s", flush=True)


def tiny(name: str) -> list[str]:
    """The recipes that make a run tiny."""
    return [piece("tiny"), *([piece("tiny_hazn")] if name == "hazn" else [])]


def _folder(name: str, seed: int) -> Path:
    return RUNS / name / f"seed{seed}"


def _finished(name: str, seed: int) -> bool:
    return (_folder(name, seed) / "results.json").is_file()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "measure", "profile", "try"):
        commands.add_parser(name).add_argument("runs", nargs="*", metavar="RUN")
    training, *measuring = (commands.choices[name] for name in ("train", "measure", "profile"))
    for command in (training, *measuring):
        command.add_argument(
            "--also", action="append", default=[], metavar="FILE", help="a recipe on top of all others"
        )
    training.add_argument("--minutes", type=float, required=True, help="of this call")
    training.add_argument("--budget", type=float, metavar="MINUTES", help="of training that a run has in all its calls")
    for command in measuring:
        command.add_argument("--batches", type=int, nargs="+", default=[], help="instead of the recipe's batch size")
    told = parser.parse_args()
    if unknown := set(told.runs) - {name for name, _ in ORDER}:
        parser.error(f"no run {', '.join(sorted(unknown))}; there are {', '.join([*STEP1, *STEP2])}")
    if told.command == "train":
        train(told.minutes, told.also, told.runs, told.budget)
    elif told.command == "try":
        try_out(told.runs)
    else:
        from experiments.full_size.measure import measure, profile

        (measure if told.command == "measure" else profile)(
            {name: arguments_of(name, 0, [piece("few"), *told.also]) for name in told.runs or ("small", "ss_nan")},
            told.batches,
            RUNS / "measure",
        )


if __name__ == "__main__":
    main()
