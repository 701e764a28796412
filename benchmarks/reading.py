"""How fast samples come out of datasets: opening, the first sample, then others in random order, on one core.

reading.py DATASET [DATASET ...] [--samples 200]
"""

from __future__ import annotations

import argparse
import random
import resource
import time

from ssnan.data.layouts import open_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    print("| dataset | samples | opened, s | first, ms | each in random order, ms | peak memory so far, MB |")
    print("|---" * 6 + "|")
    for root in options.datasets:
        started = time.perf_counter()
        folder = open_split(root, "train")
        opened = time.perf_counter()
        chosen = random.Random(0).sample(range(len(folder)), min(options.samples, len(folder)))
        _ = folder[chosen[0]]
        first = time.perf_counter()
        for index in chosen:
            _ = folder[index]
        each = (time.perf_counter() - first) / len(chosen)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cells = f"{opened - started:.2f} | {1000 * (first - opened):.0f} | {1000 * each:.1f} | {peak:.0f}"
        print(f"| {root} | {len(folder)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
