"""Serve a web page for photos and an HTTP service: POST a photo to /api/parse. Without --host, only this machine can
reach them. Photos are not stored."""

from __future__ import annotations

import argparse
import ipaddress
import re
from pathlib import Path

from ssnan.commands.options import FAILED, MISUSED, MODELS, add_engine_options, complain, megapixels, positive
from ssnan.errors import lacks, printable

HELP = "serve a web page for photos and an HTTP service"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", type=host, default="127.0.0.1", help="address to listen on (127.0.0.1, only this machine)"
    )
    parser.add_argument(
        "--allow-host",
        type=host,
        action="append",
        default=[],
        metavar="NAME",
        help="another name of the service, such as a proxy's; repeatable",
    )
    parser.add_argument("--port", type=port, default=7860, help="port to listen on (7860)")
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help=f"{MODELS} (small); repeatable, the first is the default",
    )
    add_engine_options(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-upload-mb", type=positive, default=20, metavar="N", help="largest request (20)")
    limits.add_argument("--max-megapixels", type=megapixels, default=50, metavar="N", help="largest photo (50)")
    limits.add_argument("--max-seconds", type=positive, default=30, metavar="N", help="longest time for a request (30)")
    limits.add_argument(
        "--max-waiting", type=positive, default=32, metavar="N", help="most requests at once; more are refused (32)"
    )


def host(text: str) -> str:
    """A host name or an address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not re.fullmatch(r"(?=.*[a-z])[a-z0-9_.-]{1,253}", text, re.IGNORECASE | re.ASCII):
            raise argparse.ArgumentTypeError(
                f"expected a name or an address without a port, got {printable(text[:40])!r}"
            ) from None
    return text


def port(text: str) -> int:
    """A TCP port, 0 for a free one."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text[:20]!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    try:
        from ssnan.serving.app import serve
    except ModuleNotFoundError as error:
        return complain(lacks("serving", error, "serve"), FAILED)
    from ssnan.hub.download import card_of
    from ssnan.loading import load
    from ssnan.parsing.card import ModelCard, ModelError
    from ssnan.parsing.parser import Parser
    from ssnan.serving.limits import Limits

    parsers: dict[str, Parser] = {}
    cards: dict[str, ModelCard | None] = {}
    for model in options.model or ["small"]:
        name = Path(model).name.removesuffix(".onnx").removesuffix(".ckpt")  # a revision may contain dots: name@v1.0
        if name in parsers:
            return complain(f"two models have the name {name!r}; rename one", MISUSED)
        try:
            parsers[name] = load(model, engine=options.engine, threads=options.threads)
            cards[name] = card_of(model)
        except ModelError as error:
            return complain(str(error), MISUSED)
    limits = Limits(
        upload_bytes=options.max_upload_mb * 1_000_000,
        pixels=options.max_megapixels * 1_000_000,
        seconds=float(options.max_seconds),
        waiting=options.max_waiting,
    )
    return serve(parsers, cards, limits, options.host, options.port, options.allow_host)
