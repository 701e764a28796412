"""What a service takes from strangers, and what it says when that was too much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request, and all at once, may ask for.

    Attributes:
        upload_bytes: of one request's body.
        pixels: of one picture.
        seconds: from a complete request to its answer; its head and its body may take as long
            each, and no longer may an answer lie untaken.
        waiting: requests that are read, wait or are worked on at once; further ones are sent away.
    """

    upload_bytes: int = 20_000_000
    pixels: int = 50_000_000
    seconds: float = 30.0
    waiting: int = 32


class RefusedError(Exception):
    """A request that gets no picture; ``status`` and the message are the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
