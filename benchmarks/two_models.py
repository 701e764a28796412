"""How much longer does one model take than another, in its network and from a photo's file to the label map?

    python benchmarks/two_models.py photo.jpg old/small.onnx src/ssnan/weights/small.onnx

The runs alternate in one process, so that other work on the machine slows both. Prints the medians in milliseconds and
their ratio, for every installed engine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import ssnan
from ssnan.parsing.engines import ENGINES

PAUSE = 0.05
"""Seconds before each run. The threads of ONNX Runtime wait for more work without sleep, and would slow the other
network."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photo", type=Path)
    arguments.add_argument("models", type=Path, nargs=2, metavar="MODEL")
    arguments.add_argument("--runs", type=int, default=40)
    options = arguments.parse_args()
    for engine in filter(find_spec, ENGINES):
        parsers = [ssnan.load(str(model), engine=engine) for model in options.models]
        decoded = [parser.decode(options.photo) for parser in parsers]
        network = [partial(parser.score, photo) for parser, photo in zip(parsers, decoded, strict=True)]
        from_file = [partial(parser, options.photo) for parser in parsers]
        for name, pair in (("network", network), ("file to map", from_file)):
            first, second = medians(pair, options.runs)
            print(f"{engine}, {name}: {first:.1f} ms, {second:.1f} ms, {second / first:.2f} times as long")


def medians(pair: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """The median milliseconds of each, run in turn."""
    times: list[list[float]] = [[] for _ in pair]
    for _ in range(runs):
        for work, taken in zip(pair, times, strict=True):
            time.sleep(PAUSE)
            start = time.perf_counter()
            work()
            taken.append(1000 * (time.perf_counter() - start))
    return [median(taken) for taken in times]


if __name__ == "__main__":
    main()
