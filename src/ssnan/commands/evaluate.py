"""Measure a model on a dataset: accuracy, mean IoU, IoU of each class, swapped limbs, joints, calibration, and people
told apart."""

from __future__ import annotations

import argparse
import json

from ssnan.commands.options import (
    FAILED,
    MISUSED,
    add_model_options,
    complain,
    folder,
    json_file,
    load_parser,
    print_tables,
)
from ssnan.errors import quoted

HELP = "measure a model on a dataset"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=folder, required=True, metavar="DIR", help="dataset in the layout of LIP, "
                        "PASCAL-Person-Part, CIHP, MHP or COCO (whole people), or with a dataset.yaml")  # fmt: skip
    parser.add_argument("--split", default="val", help="train or val (val)")
    parser.add_argument(
        "--json",
        type=json_file,
        metavar="FILE",
        help="also write the numbers to this file, with the confusion matrix in pixels, one row per true class or set",
    )
    parser.add_argument("--card", action="store_true", help="also record the numbers in the model card")
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from ssnan.data.layouts import open_split
    from ssnan.evaluation.evaluate import evaluate, numbers, record, tables
    from ssnan.io.writing import write_text
    from ssnan.parsing.card import ModelError, find_card
    from ssnan.parsing.engines import choose

    try:
        if options.card:
            find_card(options.model)
        parser = load_parser(options)
        dataset = open_split(options.data, options.split)
    except ModelError as error:
        return complain(str(error), MISUSED)
    except ValueError as error:
        return complain(str(error), FAILED)
    try:
        samples = (dataset[index] for index in track(range(len(dataset)), "measuring", console=Console(stderr=True)))
        confusion, structure, photos, instances = evaluate(parser, samples, dataset.label_set)
    except ValueError as error:
        return complain(str(error), FAILED)
    measured = numbers(confusion, dataset.label_set, photos) | {"structure": structure.numbers()}
    if instances.photos:
        measured["instances"] = instances.numbers()
    print(f"{quoted(options.model)} on {len(dataset)} photos of {quoted(options.data)} ({options.split})")
    print_tables(tables(measured, parser.label_set))
    if options.card:
        engine = choose()[0] if options.engine == "auto" else options.engine
        record(find_card(options.model), f"{options.data.name} {options.split}, {engine}", measured)
    if options.json is not None:
        whole = measured | {"classes": parser.label_set.classes, "confusion": confusion.tolist()}
        write_text(options.json, json.dumps(whole, indent=2) + "\n")
    return 0
