"""``ssnan``: one table, command → function. Heavy imports stand inside the functions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ssnan.parsing.parser import Parser

FAILED, MISUSED = 1, 2
LISTED = 20
"""Problems of a dataset that are printed one by one."""


def parse(arguments: Sequence[str]) -> int:
    """parse photographs into maps of parts"""
    parser = argparse.ArgumentParser(
        prog="ssnan parse",
        description="Write OUT/<stem>.png for every photograph: an 8-bit palette PNG of the photo's size whose "
        "indices are label ids and whose colours are the label set's.",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="photos, folders of photos, or patterns like '*.jpg'"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("parsed"), help="folder of the results (parsed)")
    parser.add_argument(
        "--save",
        nargs="+",
        default=[],
        choices=("overlay", "json", "confidence"),
        help="also write <stem>.overlay.png, <stem>.json, <stem>.confidence.png",
    )
    parser.add_argument("--recursive", action="store_true", help="look into folders of folders")
    _add_model_options(parser)
    options = parser.parse_args(arguments)

    from ssnan.parsing.batch import find_inputs, parse_files
    from ssnan.parsing.card import ModelError

    inputs = find_inputs(options.inputs, options.recursive)
    if not inputs:
        return _complain(f"no picture in {' '.join(options.inputs)}", MISUSED)
    if options.output.exists() and not options.output.is_dir():
        return _complain(f"{options.output}: is a file, expected a folder for the results", MISUSED)
    from ssnan.parsing.video import SUFFIXES as FILMS

    films = {path: stem for path, stem in inputs.items() if path.suffix.lower() in FILMS}
    try:
        loaded = _load(options, None if films else len(inputs))
    except ModelError as error:
        return _complain(str(error), MISUSED)

    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    photos = {path: stem for path, stem in inputs.items() if path not in films}
    outcomes = parse_files(loaded, photos, options.output, options.save)
    if len(photos) > 1:
        outcomes = track(outcomes, "parsing", total=len(photos), console=console)  # type: ignore[assignment]
    reasons = [reason for _, reason in outcomes if reason is not None]
    taken: dict[Path, Path] = {}
    for path, stem in films.items():
        if taken.setdefault(stem, path) != path:
            reasons.append(f"{path}: its result would replace that of {taken[stem]}; parse it into another folder")
            continue
        reasons += _parse_film(loaded, path, options.output / stem, console)
    for reason in reasons:
        console.print(f"ssnan: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    failures = len(reasons)
    done = len(inputs) - failures
    if done:
        print(f"{done} parsed into {options.output}")
    return FAILED if failures else 0


def _parse_film(loaded: Parser, path: Path, output: Path, console: Console) -> list[str]:
    """Parse a film with a progress bar that shows frames a second; what went wrong, if anything."""
    import time

    from rich.progress import BarColumn, Progress, TextColumn

    from ssnan.parsing.images import ImageError
    from ssnan.parsing.video import parse_video

    count = TextColumn("{task.completed:.0f} frames, {task.fields[rate]:.1f} a second")
    try:
        with Progress(TextColumn("{task.description}"), BarColumn(), count, console=console) as progress:
            bar, started = progress.add_task(path.name, total=None, rate=0.0), time.perf_counter()
            for done, total in parse_video(loaded, path, output):
                progress.update(bar, completed=done, total=total, rate=done / (time.perf_counter() - started))
    except ImageError as error:
        return [str(error)]
    except OSError as error:
        return [f"{error.filename or path}: {error.strerror or error}"]
    except ModuleNotFoundError as error:
        return [f"{path}: films need {error.name}; pip install 'ssnan[video]'"]
    return []


def evaluate(arguments: Sequence[str]) -> int:
    """measure a model on a dataset"""
    parser = argparse.ArgumentParser(
        prog="ssnan evaluate", description="Overall accuracy, mean accuracy, mean IoU and the per-class row."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a dataset: LIP's layout, "
                        "PASCAL-Person-Part's, or your own with a dataset.yaml")  # fmt: skip
    parser.add_argument("--split", default="val", help="train or val (val)")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the numbers there too, and the confusion matrix in pixels, a row a true class",
    )
    parser.add_argument("--card", action="store_true", help="record the numbers in the model's card too")
    _add_model_options(parser)
    options = parser.parse_args(arguments)

    import json

    from rich.console import Console
    from rich.progress import track

    from ssnan.data.layouts import open_split
    from ssnan.evaluation.evaluate import evaluate, numbers, record, tables
    from ssnan.parsing.card import ModelError, find_card
    from ssnan.parsing.engines import choose

    console = Console(stderr=True)
    try:
        if options.card:
            find_card(options.model)
        loaded = _load(options)
        folder = open_split(options.data, options.split)
    except ModelError as error:
        return _complain(str(error), MISUSED)
    except ValueError as error:
        return _complain(str(error), FAILED)
    try:
        samples = (folder[index] for index in track(range(len(folder)), "measuring", console=console))
        confusion = evaluate(loaded, samples, folder.label_set)
    except ValueError as error:
        return _complain(str(error), FAILED)
    measured = numbers(confusion, folder.label_set)
    print(f"{options.model} on {len(folder)} pictures of {options.data} ({options.split})")
    for table in tables(measured, loaded.label_set):
        Console().print(table)
    if options.card:
        engine = choose()[0] if options.engine == "auto" else options.engine
        record(find_card(options.model), f"{options.data.name} {options.split}, {engine}", measured)
    if options.json is not None:
        whole = measured | {"classes": loaded.label_set.classes, "confusion": confusion.tolist()}
        options.json.write_text(json.dumps(whole, indent=2) + "\n")
    return 0


def data(arguments: Sequence[str]) -> int:
    """look at a dataset: ssnan data check DIR"""
    parser = argparse.ArgumentParser(prog="ssnan data", description="Look at a dataset before you train on it.")
    check_parser = parser.add_subparsers(required=True, metavar="check").add_parser(
        "check",
        help="verify a dataset",
        description="Read every picture and mask: counts, sizes, ids out of range, missing pairs, class shares, "
        "pictures that both splits hold. Exit status 1 if anything is wrong.",
    )
    check_parser.add_argument("root", type=Path, metavar="DIR", help="the dataset's folder")
    options = parser.parse_args(arguments)

    from rich.console import Console
    from rich.progress import track

    from ssnan.data.check import SPLITS, between, check_split, tables
    from ssnan.data.folder import DatasetError
    from ssnan.data.layouts import find_split

    checks = {}
    try:
        for split in SPLITS:
            total = len(find_split(options.root, split).pairs) + 1
            steps = check_split(options.root, split)
            for found in track(steps, f"reading {split}", total=total, console=Console(stderr=True)):
                checks[split] = found
    except DatasetError as error:
        return _complain(str(error), FAILED)
    for table in tables(checks):
        Console().print(table)
    shared = between(*checks.values())
    problems = [line for found in checks.values() for line in found.problems] + [f"in both splits, {s}" for s in shared]
    for line in problems[:LISTED]:
        print(line)
    if len(problems) > LISTED:
        print(f"... and {len(problems) - LISTED} more")
    print(f"{len(problems)} problems" if problems else "nothing is wrong")
    return FAILED if problems else 0


def train(arguments: Sequence[str]) -> int:
    """train a system: ssnan train --config FILE.yaml"""
    try:
        from ssnan.training.main import train
    except ModuleNotFoundError as error:
        return _complain(f"training needs {error.name}; pip install 'ssnan[train]'", FAILED)
    try:
        print(f"best checkpoint: {train(arguments)}")
    except ValueError as error:
        # What a process that reads data raised comes with its traceback; its last line is the message.
        message = str(error).rstrip()
        return _complain(message.rsplit("Error: ", 1)[-1] if "Traceback" in message else message, FAILED)
    return 0


def models(arguments: Sequence[str]) -> int:
    """the systems, their sources, and the weights that exist"""
    argparse.ArgumentParser(prog="ssnan models", description=models.__doc__).parse_args(arguments)

    from rich.console import Console

    from ssnan.commands.models import tables

    for table in tables():
        Console().print(table)
    return 0


def bench(arguments: Sequence[str]) -> int:
    """where the time goes, engine by engine"""
    parser = argparse.ArgumentParser(prog="ssnan bench", description="Time every installed engine, step by step.")
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="photo to time on")
    parser.add_argument("--model", default="small", help="bundled model, or .onnx file with its card")
    parser.add_argument("--threads", type=_positive, help="threads to use (every available core)")
    parser.add_argument("--runs", type=_positive, default=20, help="runs of every step (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    options = parser.parse_args(arguments)

    import json

    from rich.console import Console

    from ssnan.evaluation.bench import measure, tables

    try:
        measured = measure(options.model, options.photo, options.runs, options.threads)
    except ValueError as error:
        return _complain(str(error), FAILED)
    for table in tables(measured):
        Console().print(table)
    if measured["peak_memory_mb"] is not None:
        print(f"peak memory of this process: {measured['peak_memory_mb']:.0f} MB")
    if options.json is not None:
        options.json.write_text(json.dumps(measured, indent=2) + "\n")
    return 0


def report(arguments: Sequence[str]) -> int:
    """runs side by side, as the paper's tables and figures"""
    parser = argparse.ArgumentParser(
        prog="ssnan report",
        description="Write report.md and CSV files: the paper's tables from the results of finished runs. Runs in "
        "folders called seed0, seed1, ... are averaged.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders of runs, or of folders of runs")
    parser.add_argument("-o", "--output", type=Path, default=Path("report"), help="folder of the report (report)")
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="draw figures too: of these photos, or of a dataset's val pictures with their ground truth",
    )
    parser.add_argument("--count", type=_positive, default=4, help="photos in a figure (4)")
    options = parser.parse_args(arguments)

    from ssnan.evaluation.report import read_systems, write

    try:
        systems = read_systems(options.runs)
        path = write(systems, options.output)
        written = [path]
        if options.photos is not None:
            from ssnan.evaluation.figures import draw
            from ssnan.training.checkpoint import show

            shown = [show(system.name, system.folders[0] / "checkpoints" / "best.ckpt") for system in systems]
            written += draw(shown, options.photos, options.count, options.output)
    except ModuleNotFoundError as error:
        return _complain(f"figures need {error.name}; pip install 'ssnan[train]'", FAILED)
    except ValueError as error:
        return _complain(str(error), FAILED)
    print(path.read_text())
    print("wrote " + ", ".join(str(file) for file in written))
    return 0


def export(arguments: Sequence[str]) -> int:
    """turn a checkpoint into an ONNX file with its card"""
    parser = argparse.ArgumentParser(prog="ssnan export", description=export.__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="CKPT", help="checkpoint of ssnan train")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx", help="where to write it")
    parser.add_argument("--about", type=Path, metavar="FILE.json", help="notes to copy into the card")
    parser.add_argument("--longest-side", type=_positive, metavar="PIXELS", help="of the network's input")
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
    options = parser.parse_args(arguments)
    if (options.precision == "fp32") == bool(options.calibrate):
        parser.error("--calibrate DIR belongs to --precision bf16 and int8, and they need it")
    try:
        from ssnan.export.onnx import compress, export_checkpoint
    except ModuleNotFoundError as error:
        return _complain(f"export needs {error.name}; pip install 'ssnan[train]'", FAILED)
    from ssnan.parsing.card import ModelError

    try:
        card = export_checkpoint(options.model, options.output, options.about, options.longest_side)
    except ModelError as error:
        return _complain(str(error), MISUSED)
    if options.precision != "fp32":
        try:
            card, reached = compress(card, options.precision, options.calibrate)
        except ValueError as error:
            return _complain(str(error), FAILED)
        print(f"mean IoU on {options.calibrate[0].name} val, percent:")
        for name, mean_iou in reached.items():
            print(f"  {100 * mean_iou:.2f} {name}")
    for engine, file in card.files.items():
        print(f"wrote {file} for {engine}")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "parse": parse,
    "train": train,
    "evaluate": evaluate,
    "data": data,
    "models": models,
    "bench": bench,
    "report": report,
    "export": export,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 something failed, 2 wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]](given[1:])
    listing = "\n".join(f"  {name:<10} {command.__doc__}" for name, command in COMMANDS.items())
    usage = f"usage: ssnan COMMAND ...\n\n{listing}\n\n'ssnan COMMAND --help' says more."
    if given and given[0] in ("-h", "--help"):
        print(usage)
        return 0
    if given == ["--version"]:
        from importlib.metadata import version

        print(version("ssnan"))
        return 0
    print(f"ssnan: no command {given[0]!r}\n{usage}" if given else usage, file=sys.stderr)
    return MISUSED


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="small", help="bundled model, .onnx file with its card, or checkpoint")
    parser.add_argument("--engine", default="auto", help="auto, onnxruntime, openvino, or torch for checkpoints (auto)")
    parser.add_argument("--threads", type=_positive, help="threads to use (every available core)")
    parser.add_argument(
        "--scales", nargs="+", type=_factor, default=[1.0], metavar="S", help="parse at these sizes and average (1)"
    )
    parser.add_argument("--mirror", action="store_true", help="parse the mirrored photo too, and average")
    parser.add_argument("-v", "--verbose", action="store_true", help="say which engine was picked, and why")


def _load(options: argparse.Namespace, pictures: int | None = None) -> Parser:
    """The parser that the model options ask for; raises ModelError."""
    from ssnan.loading import load
    from ssnan.parsing.views import Views

    if options.verbose:
        import logging

        logging.basicConfig(format="ssnan: %(message)s")
        logging.getLogger("ssnan").setLevel(logging.INFO)
    views = Views(tuple(options.scales), options.mirror)
    return load(options.model, options.engine, options.threads, views, pictures)


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 4:
        raise argparse.ArgumentTypeError(f"expected a factor above 0, at most 4, got {text!r}")
    return value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return int(text)


def _complain(message: str, status: int) -> int:
    print(f"ssnan: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
