"""Parse in a separate process, so that a photo that crashes or hangs it affects no other photo."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, NamedTuple

from ssnan.cluster.items import Item, StoreError, contents
from ssnan.errors import cause, hide_decoder_warnings, printable
from ssnan.io.opening import MAX_PIXELS, ImageError
from ssnan.loading import load
from ssnan.parsing.card import ModelError
from ssnan.parsing.parser import ONE_VIEW, Parser
from ssnan.parsing.pipeline import in_stages
from ssnan.parsing.views import Views
from ssnan.results.outputs import files

IN_FLIGHT = 7
"""The most photos in progress when the process dies: being read, in the network, or being written."""


@dataclass(frozen=True)
class ParseOptions:
    """How to parse photos and what to save; plain values that can be sent to another process or machine.

    Attributes:
        model, engine, threads, views, max_pixels, labels, colors: of :func:`ssnan.load`.
        kinds, parts: of :func:`ssnan.results.outputs.files`.
    """

    model: str = "small"
    engine: str = "auto"
    threads: int | None = 1
    views: Views = ONE_VIEW
    max_pixels: int = MAX_PIXELS
    labels: str | None = None
    colors: Literal["labels", "distinct"] = "labels"
    kinds: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def parser(self) -> Parser:
        """Load the parser.

        Raises:
            ModelError, RemapError: as :func:`ssnan.load`.
        """
        return load(
            self.model,
            engine=self.engine,
            threads=self.threads,
            views=self.views,
            labels=self.labels,
            colors=self.colors,
            max_pixels=self.max_pixels,
        )


class Parsed(NamedTuple):
    """The outcome of a photo: columns of its row, and its files by suffix."""

    row: dict[str, Any]
    files: dict[str, bytes]


def without_result(status: str, reason: str, content: bytes | None = None) -> Parsed:
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    nothing = dict.fromkeys(("width", "height", "parts", "joints", "seconds"))
    return Parsed({"sha256": digest, "status": status, "reason": printable(reason), **nothing}, {})


class ClosedError(Exception):
    """The child was ended by :meth:`Isolation.close`."""


class Isolation:
    """Parse shards in a child process, which is restarted after it dies.

    Args:
        options: those of the parser of the child.
        patience: seconds to wait for each result.
    """

    def __init__(self, options: ParseOptions, patience: float = 120.0) -> None:
        self.options = options
        self.patience = patience
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    def parse(self, items: Sequence[Item]) -> Iterator[tuple[Item, Parsed]]:
        """Yield the outcome of every photo, in order.

        If the child dies, the photos in progress are tried once more, each alone in a new process. A photo that kills
        this process too is quarantined.

        Raises:
            ModelError: the child cannot load the model.
            ClosedError: another thread called :meth:`close`.
        """
        waiting = list(items)
        while waiting:
            answered = 0
            for answer in self._answers(waiting):
                if isinstance(answer, str):
                    break
                yield waiting[answered], answer
                answered += 1
            suspects, waiting = waiting[answered : answered + IN_FLIGHT], waiting[answered + IN_FLIGHT :]
            for item in suspects:
                [answer] = self._answers([item])
                yield item, without_result("quarantined", answer) if isinstance(answer, str) else answer

    def close(self) -> None:
        """End the child for good. Another thread may call this while one waits for a result."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
            process.join()

    def _end(self) -> None:
        """End the child. The next photos begin another one."""
        assert self._process is not None
        assert self._connection is not None
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = self._connection = None

    def _answers(self, items: Sequence[Item]) -> Iterator[Parsed | str]:
        """Yield the child's results and, if it dies early, the reason."""
        if self._process is None:
            self._begin()
        assert self._process is not None
        assert self._connection is not None
        try:
            self._connection.send(list(items))
            for _ in items:
                if not self._connection.poll(self.patience):
                    self._end()
                    yield f"no result within {self.patience:g} seconds in two attempts"
                    return
                yield self._connection.recv()
        except (EOFError, OSError):
            if self._closed:
                raise ClosedError from None
            how = _how_ended(self._process)
            self._end()
            yield f"the process that parsed it ended {how} in two attempts"

    def _begin(self) -> None:
        # Spawned, because a forked engine has lost its threads.
        context = multiprocessing.get_context("spawn")
        self._connection, child_end = context.Pipe()
        self._process = context.Process(target=_child, args=(child_end, self.options), daemon=True)
        self._process.start()
        child_end.close()
        if self._closed:  # since it began
            self._process.kill()
            raise ClosedError
        try:
            problem = self._connection.recv()
        except EOFError:
            how = _how_ended(self._process)
            problem = f"model {self.options.model}: its process ended {how} while it loaded"
        if self._closed:
            raise ClosedError
        if problem is not None:
            self._end()
            raise ModelError(problem)


def _how_ended(process: BaseProcess) -> str:
    """The status or the signal with which a process ends."""
    process.join()
    code = process.exitcode or 0
    return f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with status {code}"


def _child(connection: Connection, options: ParseOptions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the parent decides
    hide_decoder_warnings()
    try:
        parser = options.parser()
    except ValueError as error:
        connection.send(str(error))
        return
    connection.send(None)
    while True:
        try:
            items = connection.recv()
        except EOFError:  # the parent has ended
            return
        try:
            for parsed in parse_each(parser, items, options):
                connection.send(parsed)
        except BrokenPipeError:
            return


class Job(NamedTuple):
    """A photo in progress: ``state`` is the result of the last stage, or what the photo has without a result."""

    item: Item
    state: Any
    content: bytes
    started: float


def parse_each(parser: Parser, items: Sequence[Item], options: ParseOptions) -> Iterator[Parsed]:
    """Yield the outcome of every photo; reads the next and writes the last while the network runs."""

    def decode(given: tuple[Item, bytes | OSError]) -> Job:
        started, (item, content) = time.perf_counter(), given
        if isinstance(content, OSError):
            status = "unfinished" if isinstance(content, StoreError) else "failed"
            return Job(item, without_result(status, f"cannot be read: {cause(content)}"), b"", started)
        try:
            return Job(item, parser.decode(content), content, started)
        except (ImageError, MemoryError) as error:
            reason = str(error).removeprefix("image bytes: ")
            reason = reason or "not enough memory for a photo of this size"
            return Job(item, without_result("failed", reason, content), content, started)

    def score(job: Job) -> Job:
        if isinstance(job.state, Parsed):
            return job
        try:
            return job._replace(state=parser.score(job.state))
        except ModelError as error:
            return job._replace(state=without_result("unfinished", str(error)))

    def write(job: Job) -> Parsed:
        item, state, content, started = job
        if isinstance(state, Parsed):
            return state
        try:
            result = parser.finish(state, content)
            made = {ending: make() for ending, make in files(result, item.image, options.kinds, options.parts).items()}
            found = result.to_dict()
        except MemoryError:
            return without_result("failed", "not enough memory for a photo of this size", content)
        row = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "status": "parsed",
            "reason": None,
            "width": found["width"],
            "height": found["height"],
            "parts": [
                {"name": name, "area": part["area"], "confidence": part["confidence"], "box": list(part["box"])}
                for name, part in found["parts"].items()
            ],
            "joints": [{"name": n, "x": at[0], "y": at[1]} for n, at in found["joints"].items() if at is not None],
            "seconds": time.perf_counter() - started,
        }
        return Parsed(row, made)

    return in_stages(decode, score, write, contents(items))
