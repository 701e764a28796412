"""Let the garments and the sides of a trained network agree.

    python -m experiments.bundled.agreement CHECKPOINT [--distance 56] [--color 1.3] -o AGREEING.ckpt

:class:`ssnan.models.MeanField` has no weights, so this needs no training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from experiments.bundled.garments import GARMENTS
from ssnan.labels import LIP


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--distance", type=float, default=56.0, help="as for ssnan.models.MeanField")
    parser.add_argument("--color", type=float, default=1.3, help="as for ssnan.models.MeanField")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    checkpoint = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    agreement = {
        "class_path": "ssnan.models.MeanField",
        "init_args": {
            "groups": [GARMENTS, *map(list, LIP.flip_pairs)],
            "distance": options.distance,
            "color": options.color,
        },
    }
    checkpoint["hyper_parameters"]["network"]["init_args"]["agreement"] = agreement
    torch.save(checkpoint, options.output)


if __name__ == "__main__":
    main()
