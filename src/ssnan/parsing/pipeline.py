"""Steps that overlap: while one picture is in the network, the next is decoded and the last is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def map_ahead(function: Callable[[Given], Made], items: Iterable[Given], depth: int = 2) -> Iterator[Made]:
    """``map(function, items)`` in a thread of its own, in order, at most ``depth`` results ahead.

    ``items`` are drawn by the caller's thread. What ``function`` raises comes out in its turn. The
    thread ends with the iteration, also when that is given up.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(thread.submit(function, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
