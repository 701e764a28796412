"""Time each step of parsing with every installed engine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ssnan.commands.options import json_file, positive, print_tables, threads

HELP = "time each step with every engine"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="photo to parse")
    parser.add_argument(
        "--model",
        default="small",
        help="bundled model, .onnx file with its card, published folder, or owner/name on the hub (small)",
    )
    parser.add_argument("--threads", type=threads, help="threads to use (all available cores)")
    parser.add_argument("--runs", type=positive, default=20, help="runs per step (20)")
    parser.add_argument("--json", type=json_file, metavar="FILE", help="also write the numbers to this file")


def run(options: argparse.Namespace) -> int:
    from ssnan.evaluation.bench import measure, tables
    from ssnan.io.writing import write_text

    measured = measure(options.model, options.photo, options.runs, options.threads)
    print_tables(tables(measured))
    if measured["peak_memory_mb"] is not None:
        print(f"peak memory of this process: {measured['peak_memory_mb']:.0f} MB")
    if options.json is not None:
        write_text(options.json, json.dumps(measured, indent=2) + "\n")
    return 0
