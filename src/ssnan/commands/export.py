"""Turn a checkpoint into an ONNX file with its card."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssnan.commands.options import FAILED, MISUSED, complain, positive, share
from ssnan.errors import lacks

HELP = "turn a checkpoint into an ONNX file with its card"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="CKPT", help="checkpoint of ssnan train")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx", help="where to write it")
    parser.add_argument("--about", type=Path, metavar="FILE.json", help="notes to copy into the card")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.safetensors", help="write the weights there too, to start a training from"
    )
    parser.add_argument("--longest-side", type=positive, metavar="PIXELS", help="of the network's input")
    parser.add_argument("--min-person-confidence", type=share, default=0.0, metavar="P",
                        help="a photo shows nobody if the mean probability of a person, over the pixels "
                        "called person, is below P (0: never)")  # fmt: skip
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=("fp32", "bf16", "int8"),
        help="of the weights, and with int8 of the arithmetic (fp32)",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="datasets for bf16 and int8: the first one's val pictures check what is lost, and for int8 their train "
        "pictures set the ranges",
    )


def run(options: argparse.Namespace) -> int:
    if (options.precision == "fp32") == bool(options.calibrate):
        return complain("--calibrate DIR belongs to --precision bf16 and int8, and they need it", MISUSED)
    try:
        from ssnan.export.onnx import compress, export_checkpoint, save_weights
    except ModuleNotFoundError as error:
        return complain(lacks("export", error, "train"), FAILED)
    from ssnan.parsing.card import ModelError, read_about

    try:
        about = None if options.about is None else read_about(options.about)
        card = export_checkpoint(
            options.model, options.output, about, options.longest_side, options.min_person_confidence
        )
        if options.weights is not None:
            save_weights(options.model, options.weights)
    except ModelError as error:
        return complain(str(error), MISUSED)
    if options.precision != "fp32":
        try:
            card, reached = compress(card, options.precision, options.calibrate)
        except ValueError as error:
            return complain(str(error), FAILED)
        print(f"mean IoU on {options.calibrate[0].name} val, percent:")
        for name, mean_iou in reached.items():
            print(f"  {100 * mean_iou:.2f} {name}")
    for engine, file in card.files.items():
        print(f"wrote {file} for {engine}")
    if options.weights is not None:
        print(f"wrote {options.weights} for model.start_from")
    return 0
