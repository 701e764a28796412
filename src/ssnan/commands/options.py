"""Shared by several commands: exit statuses, argument types, and the options that choose a model."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ssnan.errors import printable, unknown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ssnan.parsing.parser import Parser

FAILED, MISUSED = 1, 2
"""Exit statuses: something failed, wrong usage. 0 is done."""

EMPTY = "is a variable on the command line empty?"
"""Asked about an empty argument, which a script gives by mistake."""

MODELS = "bundled model, .onnx file with its card, published folder, owner/name on the hub, or checkpoint"
"""What a command takes as a model, for its help."""


class Stopped(BaseException):
    """A signal asked the process to end; ``status`` is its exit status."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` on SIGINT, SIGTERM and SIGHUP within the block, so that files are closed and unfinished
    ones removed. The second signal is ignored, because people press Ctrl-C twice; the third ends the process at once.
    Ignored signals stay ignored, as SIGHUP under nohup. Does nothing outside the main thread, which alone receives
    signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    process, seen = os.getpid(), 0

    def stop(number: int, frame: object) -> None:
        nonlocal seen
        if os.getpid() != process:
            raise KeyboardInterrupt  # which data loading processes expect
        seen += 1
        if seen == 1:
            raise Stopped(number)
        if seen > 2:
            os._exit(128 + number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    names = [name for name in names if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        if not seen:  # otherwise the process ends, and a further signal must not disturb the end
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)


def show(console: Console, problem: str) -> None:
    """Print a problem in one line, beside a progress bar."""
    console.print(f"ssnan: {printable(problem)}", style="red", markup=False, highlight=False, soft_wrap=True)


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables in which every name is plain text: rich would take ``[hair]`` for a style and leave it out."""
    from rich.console import Console

    console = Console(markup=False, emoji=False)
    with console.capture() as captured:  # rich itself would end the program with status 1 when a pipe is closed
        for table in tables:
            console.print(table)
    print(captured.get(), end="")


def complain(message: str, status: int) -> int:
    """Print an error in one line and return ``status``."""
    if sys.stderr is not None:  # None if it was closed from the start
        with suppress(OSError):  # it may be closed or full
            print(f"ssnan: {printable(message)}", file=sys.stderr)
    return status


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number below 1,000,000,000, got {text[:20]!r}")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text[:20]!r}")
    return value


def threads(text: str) -> int:
    """A number of threads."""
    from ssnan.parsing.engines import MOST_THREADS

    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"expected a number of threads, 1 to {MOST_THREADS}, got {text[:20]!r}")
    return int(text)


def megapixels(text: str) -> int:
    """Millions of pixels."""
    from ssnan.io.opening import MAX_PIXELS

    most = MAX_PIXELS // 1_000_000
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected millions of pixels, 1 to {most}, got {text[:20]!r}")
    return int(text)


def factor(text: str) -> float:
    """A factor of the photo's size."""
    from ssnan.parsing.views import LARGEST

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LARGEST:
        raise argparse.ArgumentTypeError(f"expected a factor above 0 and at most {LARGEST}, got {text!r}")
    return value


def factors(text: str) -> list[float]:
    """Factors separated by commas."""
    return [factor(part) for part in text.split(",")]


def names(text: str) -> list[str]:
    """Names separated by commas."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}; {EMPTY}")
    return found


def folder(text: str) -> Path:
    """A local folder."""
    if not text:
        raise argparse.ArgumentTypeError(f"expected a folder, got ''; {EMPTY}")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"expected a local folder, got {text!r}; only ssnan catalog takes addresses")
    return Path(text)


def json_file(text: str) -> Path:
    """A JSON file to write, which is neither a model nor its card."""
    if not text:
        raise argparse.ArgumentTypeError(f"expected a file, got ''; {EMPTY}")
    place = Path(text)
    if place.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file, got the folder {text!r}")
    if place.suffix in (".json", ".onnx") and place.with_suffix(".onnx").exists():
        what = "a model" if place.suffix == ".onnx" else f"the place of the card of {place.stem}.onnx"
        raise argparse.ArgumentTypeError(f"{text!r} is {what}; choose another name")
    return place


def kinds(text: str) -> list[str]:
    """Files to save, separated by commas."""
    from ssnan.results.outputs import KINDS

    given = names(text)
    if problem := unknown("file to save", given, list(KINDS)):
        raise argparse.ArgumentTypeError(f"{problem}; separate several by commas")
    return given


def add_engine_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--engine`` and ``--threads``."""
    parser.add_argument("--engine", default="auto", help="auto, onnxruntime, openvino, or torch for checkpoints (auto)")
    parser.add_argument("--threads", type=threads, help="threads to use (all available cores)")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`load_parser` reads."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", default="small", help=f"{MODELS} (small)")
    add_engine_options(group)
    group.add_argument(
        "--scales",
        type=factors,
        default=[1.0],
        metavar="S,S",
        help="parse at these sizes and average the probabilities (1)",
    )
    group.add_argument(
        "--mirror", action="store_true", help="also parse the mirrored photo and average the probabilities"
    )
    group.add_argument("--max-megapixels", type=megapixels, default=150, metavar="N", help="refuse larger photos (150)")
    group.add_argument("-v", "--verbose", action="store_true", help="print which engine was chosen and why")


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select photos and output files."""
    from ssnan.results.outputs import KINDS

    parser.add_argument(
        "--save",
        type=kinds,
        action="extend",
        default=[],
        metavar="KIND,KIND",
        help="also save other files. " + "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items()),
    )
    parser.add_argument(
        "--parts",
        type=names,
        action="extend",
        default=[],
        metavar="PART,PART",
        help="parts for masks, cutout and crop, such as upper-clothes,left-arm (the whole person)",
    )
    parser.add_argument(
        "--labels", metavar="NAME", help="use another label set: atr, pascal_person_part, merged, or a .yaml file"
    )
    parser.add_argument(
        "--colors", choices=("labels", "distinct"), default="labels",
        help="colours of the label set, or distinct ones for dark clothes and colour-blind readers (labels)",
    )  # fmt: skip
    parser.add_argument("--recursive", action="store_true", help="include subfolders")


def problem_with_parts(options: argparse.Namespace, classes: Sequence[str]) -> str | None:
    """An error message if ``--parts`` names no class of ``classes``, or no file would show them alone."""
    from ssnan.results.outputs import OF_PARTS

    problem = unknown("part", options.parts, classes)
    if problem is None and options.parts and not {*OF_PARTS} & {*options.save}:
        given, kinds = ",".join(options.parts), " or ".join(OF_PARTS)
        problem = f"--parts {given}: no file would show these parts alone; add --save {kinds}"
    return problem


def print_log() -> None:
    """Print what ssnan logs, such as the chosen engine, for ``--verbose``."""
    import logging

    logging.basicConfig(format="ssnan: %(message)s")
    logging.getLogger("ssnan").setLevel(logging.INFO)


def load_parser(
    options: argparse.Namespace,
    labels: str | None = None,
    colors: Literal["labels", "distinct"] = "labels",
    largest: bool = False,
) -> Parser:
    """Load the parser that the model options describe.

    Raises:
        ModelError, RemapError: as :func:`ssnan.load`.
    """
    from ssnan.loading import load
    from ssnan.parsing.views import Views

    if options.verbose:
        print_log()
    views = Views(tuple(options.scales), options.mirror)
    return load(
        options.model,
        engine=options.engine,
        threads=options.threads,
        views=views,
        labels=labels,
        colors=colors,
        max_pixels=options.max_megapixels * 1_000_000,
        largest=largest,
    )
