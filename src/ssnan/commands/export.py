"""Export a checkpoint to an ONNX file with its model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssnan.commands.options import FAILED, MISUSED, complain, positive, share
from ssnan.errors import lacks, quoted

HELP = "export a checkpoint to ONNX"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="CKPT", help="checkpoint from ssnan train")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx", help="output file")
    parser.add_argument("--about", type=Path, metavar="FILE.json", help="notes for the model card")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.safetensors", help="also write the weights, for model.start_from"
    )
    parser.add_argument("--longest-side", type=positive, metavar="PIXELS", help="longest side of the network's input")
    parser.add_argument("--min-person-confidence", type=share, default=0.0, metavar="P",
                        help="a photo shows nobody if the mean probability of a person, over the pixels "
                        "called person, is below P (0: never)")  # fmt: skip
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=("fp32", "bf16", "int8"),
        help="precision of the weights, and with int8 of the arithmetic (fp32)",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="datasets for bf16 and int8: val photos of the first measure the loss; for int8, train photos of all set "
        "the ranges",
    )


def run(options: argparse.Namespace) -> int:
    if (options.precision == "fp32") == bool(options.calibrate):
        return complain("--precision bf16 and int8 need --calibrate DIR, and fp32 does not take it", MISUSED)
    for flag, file, suffix in (("-o", options.output, ".onnx"), ("--weights", options.weights, ".safetensors")):
        if file is not None and file.suffix != suffix:  # readers go by it
            return complain(f"{flag} {quoted(file)}: expected the name of a {suffix} file", MISUSED)
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
        print(f"wrote {quoted(file)} for {engine}")
    if options.weights is not None:
        print(f"wrote {quoted(options.weights)} for model.start_from")
    return 0
