"""Train every system of the paper on the same photos; ``ssnan report runs/rivals`` prints the tables.

    python -m experiments.rivals.run [SEED ...] [--systems NAME,...] [--also FILE] [-o FOLDER]     (0 1; all)

Seeds come outermost, so that an interrupted comparison still compares like with like. Finished runs are kept, and an
interrupted one continues where it stopped. A second step brings its first along. --also
experiments/rivals/configs/person_part.yaml -o runs/rivals_person_part is for Table 3.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from experiments.training import best_of, train

CONFIGS = Path(__file__).parent / "configs"
AFTER = {
    **dict.fromkeys(
        ("segnet", "fcn_8s", "deeplab_v2", "attention", "hazn", "lg_lstm", "skip_net", "average", "maximum", "ss_nan")
    ),
    **dict.fromkeys(("attention_step1", "ss_nan_step1")),
    "attention_ssl": "attention_step1",
    "ss_nan_step2_none": "ss_nan_step1",
    "ss_nan_step2": "ss_nan_step1",
}
"""The rows, and the row whose weights each begins with."""


def rows(systems: Collection[str]) -> list[str]:
    """The rows of ``systems`` and of their first steps, in the order of :data:`AFTER`."""
    wanted = {*systems, *(AFTER[name] for name in systems)}
    return [name for name in AFTER if name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[0, 1], metavar="SEED")
    parser.add_argument("--systems", default=",".join(AFTER), metavar="NAME,...", help="only these systems")
    parser.add_argument(
        "--also", type=Path, action="append", default=[], metavar="FILE", help="a recipe on top of all others"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/rivals"), help="folder of the runs")
    options = parser.parse_args()
    systems = options.systems.split(",")
    if unknown := set(systems) - set(AFTER):
        parser.error(f"--systems: expected names of {', '.join(AFTER)}, got {', '.join(sorted(unknown))}")
    for seed in options.seeds:
        for name in rows(systems):
            first = AFTER[name]
            start = None if first is None else best_of(options.output / first / f"seed{seed}")
            train(options.output / name / f"seed{seed}", [CONFIGS / f"{name}.yaml", *options.also], seed, start)


if __name__ == "__main__":
    main()
