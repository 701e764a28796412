"""In how many photos of one person is one person found?

python -m experiments.people.one_person data/ccp-lip data/viton-lip data/celeba-faces
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import ssnan
from ssnan.data.layouts import open_split


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", nargs="+", type=Path, help="datasets whose val photos show one person each")
    arguments.add_argument("--limit", type=int, default=60, help="photos of each dataset, evenly spread over its list")
    arguments.add_argument("--engine", default="onnxruntime")
    options = arguments.parse_args()
    parser = ssnan.load(engine=options.engine)
    for root in options.data:
        folder = open_split(root, "val")
        chosen = np.unique(np.linspace(0, len(folder) - 1, options.limit).round().astype(int))
        counts = [len(parser(folder[int(index)].image).people) for index in chosen]
        print(f"{root}: {counts.count(1)} of {len(counts)}")


if __name__ == "__main__":
    main()
