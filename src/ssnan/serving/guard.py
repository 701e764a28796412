"""Checks before every address: Host and Origin, the size of requests, and headers of every response."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Collection, Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssnan.serving.limits import RefusedError
from ssnan.serving.queue import RequestQueue

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of the loopback."""

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers of every response. The first lets the page load only what this service serves."""

_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://(.+)", re.ASCII)


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response to a refused request; 429 and 503 have Retry-After."""
    again = {"retry-after": "1"} if status in (429, 503) else {}
    return JSONResponse({"error": message}, status, again | dict(headers or {}))


def host_name(authority: str) -> str | None:
    """The normalised name in ``name:port``, or None if it is invalid."""
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None:
        return None
    name: str = found[1] or found[2].removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name or None


class Guard:
    """An application that refuses requests from other sites.

    A page of another site may point its own name at this machine (DNS rebinding) or send requests for its visitor. Host
    reveals the first, Origin the second.

    Args:
        app: the guarded application.
        queue: has the limits and counts the responses.
        hosts: host names besides those of the loopback. The IP address at which a request arrived is always allowed,
            because DNS cannot redirect it.
    """

    def __init__(self, app: ASGIApp, queue: RequestQueue, hosts: Collection[str]) -> None:
        self.app = app
        self.queue = queue
        self.hosts = {*LOOPBACK, *(host_name(f"[{host}]" if ":" in host else host) for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        started = False
        size = 0

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if scope["path"].startswith("/api/"):
                    self.queue.answered.labels(str(message["status"])).inc()
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *more]}
            elif head:
                message = {**message, "body": b""}
            await send(message)

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.queue.limits.upload_bytes:
                raise self._too_large()
            return message

        try:
            self._check(scope)
            await self.app({**scope, "method": "GET"} if head else scope, counted, answer)
        except RefusedError as error:
            await refusal(error.status, str(error))(scope, receive, answer)
        except asyncio.CancelledError:  # the service is stopping
            if not started:
                await refusal(503, "the service is stopping")(scope, receive, answer)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._ours(scope, hosts[0]):
            raise RefusedError(421, "this Host is not a name of the service; its owner can add it with --allow-host")
        for origin in origins:
            found = _ORIGIN.fullmatch(origin.lower())
            if found is None or not self._ours(scope, found[1]):
                raise RefusedError(
                    403,
                    "requests from pages of other sites are refused; the owner can allow this one with --allow-host",
                )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > self.queue.limits.upload_bytes:
            raise self._too_large()

    def _ours(self, scope: Scope, authority: str) -> bool:
        name = host_name(authority)
        arrived_at = (scope.get("server") or ("",))[0]
        return name is not None and (name in self.hosts or (_is_address(name) and name == arrived_at))

    def _too_large(self) -> RefusedError:
        megabytes = self.queue.limits.upload_bytes / 1e6
        return RefusedError(413, f"the upload is larger than {megabytes:g} MB")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
