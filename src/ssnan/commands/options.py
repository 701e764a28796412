"""What several commands share: exit codes, types of arguments, the options that pick a model."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from ssnan.errors import did_you_mean, printable

if TYPE_CHECKING:
    from ssnan.parsing.parser import Parser

FAILED, MISUSED = 1, 2
"""Exit codes: something failed, wrong usage. 0 is done."""


class Stopped(BaseException):
    """A signal asked the process to end; ``status`` is what it ends with."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block SIGINT, SIGTERM and SIGHUP raise :class:`Stopped`, so that what is open is closed and
    what is unfinished removed. Outside the main thread, which alone has signals, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    process = os.getpid()

    def stop(number: int, frame: object) -> None:
        # In a process that reads data for us it is what such processes expect.
        raise Stopped(number) if os.getpid() == process else KeyboardInterrupt

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def complain(message: str, status: int) -> int:
    """Say what is wrong in one line; returns ``status``."""
    if sys.stderr is not None:  # None where it was closed from the start
        with suppress(OSError):  # nobody may be there to read it
            print(f"ssnan: {printable(message)}", file=sys.stderr)
    return status


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number below a thousand million, got {text[:20]!r}")
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
    from ssnan.parsing.images import MAX_PIXELS

    most = MAX_PIXELS // 1_000_000
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected millions of pixels, 1 to {most}, got {text[:20]!r}")
    return int(text)


def factor(text: str) -> float:
    """A factor of a picture's size."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 4:
        raise argparse.ArgumentTypeError(f"expected a factor above 0, at most 4, got {text!r}")
    return value


def factors(text: str) -> list[float]:
    """Factors joined by commas."""
    return [factor(part) for part in text.split(",")]


def names(text: str) -> list[str]:
    """Names joined by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def names_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type of argument: some of ``known``, joined by commas."""

    def read(text: str) -> list[str]:
        given = names(text)
        for name in given:
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"no {name!r} among {', '.join(known)}{did_you_mean(name, known)}; several are joined by commas"
                )
        return given

    return read


def add_engine_options(parser: argparse._ActionsContainer) -> None:
    """The options that say what computes."""
    parser.add_argument("--engine", default="auto", help="auto, onnxruntime, openvino, or torch for checkpoints (auto)")
    parser.add_argument("--threads", type=threads, help="threads to use (every available core)")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that :func:`load_parser` reads."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", default="small", help="bundled model, .onnx file with its card, or checkpoint")
    add_engine_options(group)
    group.add_argument(
        "--scales", type=factors, default=[1.0], metavar="S,S", help="parse at these sizes and average (1)"
    )
    group.add_argument("--mirror", action="store_true", help="parse the mirrored photo too, and average")
    group.add_argument(
        "--max-megapixels", type=megapixels, default=150, metavar="N", help="refuse photos above this size (150)"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="say which engine was picked, and why")


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which photos are taken and what becomes of their results."""
    from ssnan.parsing.outputs import KINDS

    kinds = "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())
    parser.add_argument(
        "--save",
        type=names_of(list(KINDS)),
        action="extend",
        default=[],
        metavar="KIND,KIND",
        help=f"save more than the map. {kinds}",
    )
    parser.add_argument(
        "--parts",
        type=names,
        action="extend",
        default=[],
        metavar="PART,PART",
        help="parts of masks, cutout and crop, such as upper-clothes,left-arm (the whole person)",
    )
    parser.add_argument(
        "--labels", metavar="NAME", help="say it in other labels: atr, pascal_person_part, merged, or a .yaml file"
    )
    parser.add_argument(
        "--colors", choices=("labels", "distinct"), default="labels",
        help="the labels' own, or ones that stay apart on dark clothes and for colour-blind eyes (labels)",
    )  # fmt: skip
    parser.add_argument("--recursive", action="store_true", help="look into folders of folders")


def load_parser(
    options: argparse.Namespace,
    labels: str | None = None,
    colors: Literal["labels", "distinct"] = "labels",
    largest: bool = False,
) -> Parser:
    """The parser that the model options ask for.

    Raises:
        ModelError, RemapError: as :func:`ssnan.load`.
    """
    from ssnan.loading import load
    from ssnan.parsing.views import Views

    if options.verbose:
        import logging

        logging.basicConfig(format="ssnan: %(message)s")
        logging.getLogger("ssnan").setLevel(logging.INFO)
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
