"""Train what the experiment compares; ``ssnan report runs/joint_loss`` prints the tables.

    python -m experiments.joint_loss.run [SEED ...]     (0 1 2)

Every row is a second step from the ``ss_nan`` run of its seed. Seeds come outermost, so that an interrupted comparison
still compares like with like. Finished runs are kept, and an interrupted one continues where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.training import best_of, train

RUNS = Path("runs/joint_loss")
CONFIGS = Path(__file__).parent / "configs"
FIRST = Path(__file__).parent.parent / "rivals" / "configs" / "ss_nan.yaml"
ROWS = (
    "step2_none",
    "step2_weighted_10",
    "step2_weighted_100",
    "step2_weighted_detached",
    "step2_product",
    "step2_product_detached",
    "step2_none_faster",
    "step2_weighted_10_faster",
    "step2_none_finer",
    "step2_weighted_10_finer",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[0, 1, 2], metavar="SEED")
    for seed in parser.parse_args().seeds:
        first = RUNS / "ss_nan" / f"seed{seed}"
        train(first, [FIRST], seed)
        for name in ROWS:
            train(RUNS / name / f"seed{seed}", [CONFIGS / f"{name}.yaml"], seed, best_of(first))


if __name__ == "__main__":
    main()
