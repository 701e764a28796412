"""A connection with time limits for the client; uvicorn does the rest of HTTP."""

from __future__ import annotations

import asyncio
import http
import math
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ssnan.serving.guard import HEADERS, refusal
from ssnan.serving.limits import Limits

CONNECTIONS = 256
"""The most open connections besides waiting requests. Further ones get 503; beyond twice as many they are closed."""

HEAD_BYTES = 65536
"""The most bytes of a request before its body; one read may exceed it."""

LEAST_RATE = 65536
"""Bytes of a response that a client has to read per second, on average over ``limits.seconds``."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with ``limits.seconds`` for every step of the client: to send the head of a request, to send
    the rest of a refused body, and to read :data:`LEAST_RATE` bytes of a response for each of the seconds."""

    def __init__(self, *arguments: Any, limits: Limits, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._limits = limits
        self._answered: RequestResponseCycle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait()
        if len(self.connections) > 2 * self._most():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._answered is not None:
            self._answered.disconnected = True
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # With several pipelined requests, uvicorn tells only the last that the connection is lost.
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, f"the head of the request is larger than {HEAD_BYTES // 1024} KiB")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self.cycle is None or self.cycle.response_complete:
            self._wait()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if not self.transport.get_write_buffer_size():  # an earlier response may still be unread
            self._stop_waiting()
        if len(self.connections) > self._most():
            message = "busy: too many open connections; try again in a moment"
            self.app = refusal(503, message, HEADERS | {"connection": "close"})
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "expected an HTTP/1.1 request")

    def shutdown(self) -> None:
        super().shutdown()
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_started:
            self._refuse(503, "the service is stopping")

    def _most(self) -> int:
        return CONNECTIONS + self._limits.waiting

    def _wait(self, untaken: int | float = math.inf) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(self._limits.seconds, self._waited, untaken)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _waited(self, untaken: int | float) -> None:
        left = self.transport.get_write_buffer_size()
        if 0 < left <= untaken - LEAST_RATE * self._limits.seconds:
            self._wait(left)
        elif left:
            self.transport.abort()
        elif self._in_head:
            self._refuse(408, f"the head of the request was not complete within {self._limits.seconds:g} seconds")
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Respond and close, unless a response is being sent; discards the request."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            answer = refusal(status, message, HEADERS | {"connection": "close"})
            lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()
        self._wait()
