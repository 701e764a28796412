"""Train every system of the paper on the same photos; ``ssnan report runs/rivals`` prints the tables.

    python -m experiments.rivals.run [SEED ...]     (0 1)

Seeds come outermost, so that an interrupted comparison still compares like with like. Finished runs are kept, and an
interrupted one continues where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.training import best_of, train

RUNS = Path("runs/rivals")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[0, 1], metavar="SEED")
    for seed in parser.parse_args().seeds:
        for name, first in AFTER.items():
            start = None if first is None else best_of(RUNS / first / f"seed{seed}")
            train(RUNS / name / f"seed{seed}", [CONFIGS / f"{name}.yaml"], seed, start)


if __name__ == "__main__":
    main()
