"""Schedule many requests for one network, so that it stays busy."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ssnan.errors import unknown
from ssnan.io.opening import ImageError, TooLargeError, UnknownFormatError
from ssnan.parsing.card import ModelError
from ssnan.parsing.parser import Parser
from ssnan.results.remapping import Remapping
from ssnan.results.result import ParsingResult
from ssnan.serving.limits import Limits, RefusedError

log = logging.getLogger("ssnan")

Answer = TypeVar("Answer")

WORKERS = 3
"""Photos in progress at once: one is decoded, one in the network, one is encoded."""

LOOK = 0.2
"""Seconds between two looks whether a client is still there."""

STATUS: dict[type[ImageError], int] = {TooLargeError: 413, UnknownFormatError: 415}
"""HTTP status of each error of a photo; 422 for all others."""


class RequestQueue:
    """Parsers that many requests share.

    The network runs on one photo at a time with all threads, because batches are no faster (docs/serving.md).
    Meanwhile the next photo is decoded and the last is encoded.

    Args:
        parsers: parsers by model name, the default first.
        limits: limits of requests.

    Attributes:
        registry: metrics for Prometheus.
    """

    def __init__(self, parsers: Mapping[str, Parser], limits: Limits) -> None:
        self.parsers = {name: parser.with_options(max_pixels=limits.pixels) for name, parser in parsers.items()}
        self.limits = limits
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="ssnan")
        self._network = threading.Lock()
        self._inside = 0
        self.registry = CollectorRegistry()
        self.answered = Counter("ssnan_requests", "Requests by status.", ["status"], registry=self.registry)
        self._seconds = Histogram("ssnan_step_seconds", "Seconds of each step.", ["step"], registry=self.registry)
        waiting = Gauge("ssnan_waiting", "Requests that are read, wait or are processed.", registry=self.registry)
        waiting.set_function(lambda: self._inside)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of ``limits.waiting`` places, from the first byte to the response.

        Raises:
            RefusedError: 429, no place is free.
        """
        if self._inside >= self.limits.waiting:
            raise RefusedError(429, f"busy: {self.limits.waiting} requests are waiting; try again in a moment")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def parser(self, model: str | None) -> Parser:
        """The parser of a model; the first if None.

        Raises:
            RefusedError: 422, there is no such model.
        """
        name = next(iter(self.parsers)) if model is None else model
        if problem := unknown("model", [name], list(self.parsers)):
            raise RefusedError(422, problem)
        return self.parsers[name]

    async def parse(
        self,
        image: bytes,
        parser: Parser,
        answer: Callable[[ParsingResult], Answer],
        gone: Callable[[], Awaitable[bool]],
        remapping: Remapping | None = None,
    ) -> Answer:
        """Parse a photo and convert the result, within the limits.

        Args:
            image: bytes of the photo.
            parser: from :meth:`parser`.
            answer: converts the result; called in a thread.
            gone: whether the client is gone; then the steps that have not begun are skipped.
            remapping: converts the result to another label set first.

        Raises:
            RefusedError: 413, 415 or 422 for an unusable photo, 503 if it takes too long or the client is gone.
        """

        def work(given_up: threading.Event) -> Answer:
            with self._step("read", given_up):
                decoded = parser.decode(image)
            with self._network, self._step("network", given_up):
                scored = parser.score(decoded)
            with self._step("answer", given_up):
                result = parser.finish(scored, image)
                return answer(result if remapping is None else result.remapped(remapping))

        given_up = threading.Event()
        working = asyncio.get_running_loop().run_in_executor(self._workers, work, given_up)
        try:
            async with asyncio.timeout(self.limits.seconds):
                while not (await asyncio.wait([working], timeout=LOOK))[0]:
                    if await gone():
                        given_up.set()
                return await working
        except TimeoutError:
            raise RefusedError(503, f"not done within {self.limits.seconds:g} seconds; try again later") from None
        except ImageError as error:
            raise RefusedError(STATUS.get(type(error), 422), str(error).replace("image bytes", "the file")) from None
        except MemoryError:
            raise RefusedError(503, "not enough memory for this photo; try a smaller one") from None
        except ModelError as error:
            log.error("%s", error)
            raise RefusedError(503, "the model fails; see the log of the service") from None
        finally:
            given_up.set()
            working.cancel()

    @contextmanager
    def _step(self, name: str, given_up: threading.Event) -> Iterator[None]:
        """Time a step; skip it if nobody waits for the response any more."""
        if given_up.is_set():
            raise TimeoutError
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.labels(name).observe(time.perf_counter() - started)
