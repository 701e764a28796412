"""Is a batch faster than its photos one by one? Ratios of times, taken in turn, for each installed engine.

batches.py [--runs 5] [--model small]
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib.util import find_spec

import numpy as np

from ssnan.parsing.card import find_card
from ssnan.parsing.engines import ENGINES, Engine, available_cores

SHAPES = ((417, 289), (289, 417), (417, 417))
SIZES = (2, 4, 8)


def seconds(engine: Engine, pixels: np.ndarray, size: int) -> float:
    started = time.perf_counter()
    for first in range(0, len(pixels), size):
        engine(pixels[first : first + size])
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="small")
    options = parser.parse_args()
    card = find_card(options.model)
    print("time of a batch over that of its photos one by one, median of", options.runs, "runs")
    print("| engine | input |", " | ".join(f"{size} photos" for size in SIZES), "|")
    print("|---" * (len(SIZES) + 2) + "|")
    for name in filter(find_spec, ENGINES):
        engine = ENGINES[name](card.weights(name), available_cores())
        for height, width in SHAPES:
            ratios = []
            for size in SIZES:
                pixels = np.random.default_rng(0).normal(size=(size, 3, height, width)).astype(np.float32)
                seconds(engine, pixels, size), seconds(engine, pixels, 1)  # warm
                laps = [seconds(engine, pixels, size) / seconds(engine, pixels, 1) for _ in range(options.runs)]
                ratios.append(statistics.median(laps))
            print(f"| {name} | {height} × {width} |", " | ".join(f"{ratio:.2f}" for ratio in ratios), "|", flush=True)


if __name__ == "__main__":
    main()
