"""The page and the service on one port, in one process."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping

import uvicorn

from ssnan.errors import UserError
from ssnan.parsing.card import ModelCard
from ssnan.parsing.parser import Parser
from ssnan.serving.api import application
from ssnan.serving.limits import Limits
from ssnan.serving.page import with_page
from ssnan.serving.service import Service

CONNECTIONS = 256
"""Open connections beside the requests that may wait; beyond them uvicorn answers 503."""


def serve(
    parsers: Mapping[str, Parser], cards: Mapping[str, ModelCard | None], limits: Limits, host: str, port: int
) -> int:
    """Answer until a signal comes; returns the exit status.

    Raises:
        UserError: the address cannot be listened on.
    """
    service = Service(parsers, limits)
    app = with_page(application(service, cards), service)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from None
    address = f"[{host}]" if ":" in host else host
    print(f"http://{address}:{listening.getsockname()[1]}   the page, and /docs for the service; Ctrl+C ends it")
    sys.stdout.flush()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            timeout_keep_alive=5,
            limit_concurrency=CONNECTIONS + limits.waiting,
            timeout_graceful_shutdown=int(limits.seconds),
            server_header=False,
        )
    )
    server.run(sockets=[listening])
    return 0
