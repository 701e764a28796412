"""Many requests, one network: they are decoded, parsed and answered in an order that keeps the network busy."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ssnan.errors import unknown
from ssnan.parsing.card import ModelError
from ssnan.parsing.images import ImageError, TooLargeError, UnknownFormatError
from ssnan.parsing.parser import Parser
from ssnan.parsing.remapping import Remapping
from ssnan.parsing.result import ParsingResult
from ssnan.serving.limits import Limits, RefusedError

Answer = TypeVar("Answer")

WORKERS = 3
"""Pictures that are worked on at once: one decoded, one in the network, one answered."""

STATUS: dict[type[ImageError], int] = {TooLargeError: 413, UnknownFormatError: 415}
"""HTTP's words for what can be wrong with a picture; 422 for all else."""


class RequestQueue:
    """Parsers that any number of callers share.

    One picture is in the network at a time, with all its threads: batches were no faster (docs/serving.md). Meanwhile
    another is decoded and a third is answered.

    Args:
        parsers: by model's name; the first is the one that is used where none is named.
        limits: what callers may ask for.

    Attributes:
        registry: numbers for Prometheus.
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
        waiting = Gauge("ssnan_waiting", "Requests that are read, wait or are worked on.", registry=self.registry)
        waiting.set_function(lambda: self._inside)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that are served; to be held from the first byte to the answer.

        Raises:
            RefusedError: 429, all are taken.
        """
        if self._inside >= self.limits.waiting:
            raise RefusedError(429, f"busy: {self.limits.waiting} requests are waiting already; try again in a moment")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def parser(self, model: str | None) -> Parser:
        """The parser of a model; of the first if none is named.

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
        remapping: Remapping | None = None,
    ) -> Answer:
        """Parse a picture and make something of the result, within the limits.

        Args:
            image: a picture's file.
            parser: of :meth:`parser`.
            answer: what the result becomes; called in a thread.
            remapping: brings the result to another label set first.

        Raises:
            RefusedError: 413, 415 or 422 for what is wrong with the picture, 503 if it takes too long.
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
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await asyncio.get_running_loop().run_in_executor(self._workers, work, given_up)
        except TimeoutError:
            raise RefusedError(503, f"not done within {self.limits.seconds:g} seconds; try again later") from None
        except ImageError as error:
            raise RefusedError(STATUS.get(type(error), 422), str(error).replace("image bytes", "the file")) from None
        except MemoryError:
            raise RefusedError(503, "not enough memory for this picture now; try a smaller one") from None
        except ModelError:
            raise RefusedError(503, "the model cannot be run; its owner has to look") from None
        finally:
            given_up.set()

    @contextmanager
    def _step(self, name: str, given_up: threading.Event) -> Iterator[None]:
        """A timed step, which is not begun where nobody waits for it any more."""
        if given_up.is_set():
            raise TimeoutError
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.labels(name).observe(time.perf_counter() - started)
