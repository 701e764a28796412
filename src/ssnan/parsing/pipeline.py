"""Overlapping stages: read the next photo and write the last while the network runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Read = TypeVar("Read")
Scored = TypeVar("Scored")
Made = TypeVar("Made")


def in_stages(
    read: Callable[[Given], Read],
    score: Callable[[Read], Scored],
    finish: Callable[[Scored], Made],
    items: Iterable[Given],
) -> Iterator[Made]:
    """``finish(score(read(item)))`` of every item, in order. ``score`` runs in the caller's thread, which also iterates
    over ``items``; meanwhile the next items are read and the last are finished, each in a thread of its own."""
    return map_ahead(finish, map(score, map_ahead(read, items)))


def map_ahead(function: Callable[[Given], Made], items: Iterable[Given], depth: int = 2) -> Iterator[Made]:
    """``map(function, items)`` in a separate thread, in order, at most ``depth`` results ahead.

    The caller's thread iterates over ``items``. An error of ``function`` is raised in its turn. The thread ends with
    the iteration, even if the iteration stops early.
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
