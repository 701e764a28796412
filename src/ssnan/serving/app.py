"""Run the page and the service on one port in one process."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import uvicorn

from ssnan.errors import UserError, cause
from ssnan.parsing.card import ModelCard
from ssnan.parsing.parser import Parser
from ssnan.serving.api import application
from ssnan.serving.connection import Connection
from ssnan.serving.limits import Limits
from ssnan.serving.queue import RequestQueue


class Server(uvicorn.Server):
    """uvicorn's server that also shuts down cleanly on SIGHUP."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        gone = getattr(signal, "SIGHUP", None)  # Windows has none
        if gone is not None and signal.getsignal(gone) is signal.SIG_IGN:  # under nohup
            gone = None
        with super().capture_signals():
            before = None if gone is None else signal.signal(gone, self.handle_exit)
            try:
                yield
            finally:
                if gone is not None:
                    signal.signal(gone, before)


def serve(
    parsers: Mapping[str, Parser],
    cards: Mapping[str, ModelCard | None],
    limits: Limits,
    host: str,
    port: int,
    hosts: Collection[str] = (),
) -> int:
    """Serve until a signal arrives; returns the exit status.

    Args:
        parsers: parsers by model name, the default first.
        cards: cards of the models; None for a checkpoint.
        limits: limits of requests.
        host: address or name to listen on.
        port: port to listen on, 0 for a free one.
        hosts: other host names of the service.

    Raises:
        UserError: the service cannot listen on the address.
    """
    app = application(RequestQueue(parsers, limits), cards, [host, *hosts])
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot listen on {host}:{port}: {cause(error)}; choose another --host or --port") from None
    address = f"[{host}]" if ":" in host else host
    line = f"http://{address}:{listening.getsockname()[1]}   the page, and /docs for the service; Ctrl+C ends it"
    print(line, flush=True)
    # Clients get the errors in their requests; the log does not.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=partial(Connection, limits=limits),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.seconds),
        server_header=False,
    )
    Server(config).run(sockets=[listening])
    return 0
