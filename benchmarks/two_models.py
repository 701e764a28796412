"""How much longer does the network of one model take than that of another?

    python benchmarks/two_models.py photo.jpg old/small.onnx src/ssnan/weights/small.onnx

The runs alternate in one process, so that other work on the machine slows both. Prints the medians in milliseconds and
their ratio, for every installed engine.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from statistics import median

import ssnan

PAUSE = 0.05
"""Seconds before each run. The threads of ONNX Runtime wait for more work without sleep, and would slow the other
network."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photo", type=Path)
    arguments.add_argument("models", type=Path, nargs=2, metavar="MODEL")
    arguments.add_argument("--runs", type=int, default=40)
    options = arguments.parse_args()
    for engine in ("onnxruntime", *(["openvino"] if importlib.util.find_spec("openvino") else [])):
        parsers = [ssnan.load(str(model), engine=engine) for model in options.models]
        decoded = [parser.decode(options.photo) for parser in parsers]
        times: list[list[float]] = [[], []]
        for _ in range(options.runs):
            for parser, photo, taken in zip(parsers, decoded, times, strict=True):
                time.sleep(PAUSE)
                start = time.perf_counter()
                parser.score(photo)
                taken.append(1000 * (time.perf_counter() - start))
        first, second = (median(taken) for taken in times)
        print(f"{engine}: {first:.1f} ms, {second:.1f} ms, {second / first:.2f} times as long")


if __name__ == "__main__":
    main()
