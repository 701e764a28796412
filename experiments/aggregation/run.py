"""Train what the experiment compares; ``ssnan report runs/aggregation`` prints the tables.

    python -m experiments.aggregation.run [SEED ...]     (0 1 2)

Seeds come outermost, so that an interrupted comparison still compares like with like. Finished runs are kept, and an
interrupted one continues where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.training import train

RUNS = Path("runs/aggregation")
CONFIGS = Path(__file__).parent / "configs"
RIVALS = Path(__file__).parent.parent / "rivals" / "configs"
ROWS = {
    **{name: RIVALS / f"{name}.yaml" for name in ("skip_net", "average", "maximum", "ss_nan")},
    **{
        name: CONFIGS / f"{name}.yaml"
        for name in (
            "no_deep_supervision",
            "shared",
            "probabilities",
            "skip_net_faster",
            "no_deep_supervision_faster",
            "ss_nan_slower",
        )
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[0, 1, 2], metavar="SEED")
    for seed in parser.parse_args().seeds:
        for name, config in ROWS.items():
            train(RUNS / name / f"seed{seed}", [config], seed)


if __name__ == "__main__":
    main()
