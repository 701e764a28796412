"""Limits of the service, and the error for requests beyond them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one request, and of all together.

    Attributes:
        upload_bytes: bytes of the body of a request.
        pixels: pixels of a photo.
        seconds: seconds from a complete request to its response. The same limit holds for its head, for its body, and
            for a client to read some of the response, see :data:`ssnan.serving.connection.LEAST_RATE`.
        waiting: requests that are read, wait or are processed at once; further ones are refused.
    """

    upload_bytes: int = 20_000_000
    pixels: int = 50_000_000
    seconds: float = 30.0
    waiting: int = 32


class RefusedError(Exception):
    """A request is refused; the response has ``status`` and the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
