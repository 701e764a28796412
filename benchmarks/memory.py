"""Memory, threads and open files over many photos.

Usage: python benchmarks/memory.py PHOTO... [--count N] [--engine NAME] [--longest-side PIXELS]
"""

import argparse
import threading
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import ssnan


def held() -> tuple[float, int, int, int]:
    """Resident MB, threads of the process, threads of Python, open files (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return int(status["VmRSS"].split()[0]) / 1e3, int(status["Threads"]), threading.active_count(), files


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("photos", nargs="+", type=Path)
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--engine", default="auto")
    options.add_argument("--longest-side", type=int, help="of the network's input, to be done sooner")
    given = options.parse_args()
    parser = ssnan.load(engine=given.engine)
    if given.longest_side is not None:
        parser.preprocessing = replace(parser.preprocessing, longest_side=given.longest_side)
    print("photos  resident MB  threads  Python's  files")

    def show(count: int) -> None:
        print("{:8}  {:11.0f}  {:7}  {:8}  {:5}".format(count, *held()), flush=True)

    show(0)
    step = max(1, given.count // 10)
    for count, _ in enumerate(parser.map(islice(cycle(given.photos), given.count)), start=1):
        if count % step == 0 or count == step // 10:
            show(count)
    print("afterwards")
    show(count)


if __name__ == "__main__":
    main()
