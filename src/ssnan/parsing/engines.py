"""Engines that run a network, with one interface."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssnan.errors import install, lacks, quoted
from ssnan.parsing.card import ModelError

Float32 = NDArray[np.float32]


Engine = Callable[[Float32], Float32]
"""From normalised pixels (B, 3, H, W) to class scores (B, C, h, w)."""


QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """The number of cores that this process may use. A container may have fewer than the machine, by pinned cores or by
    a cgroup quota of time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroups, or "max": no quota
        return cores


MOST_THREADS = 256


def refuse_unless_threads(threads: int | None) -> None:
    """Refuse anything but a number of threads, or None.

    Raises:
        ModelError: it is not in 1..:data:`MOST_THREADS`.
    """
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MOST_THREADS):
        raise ModelError(f"threads: expected a whole number from 1 to {MOST_THREADS}, got {threads!r}")


_LOADED: weakref.WeakSet[_OfFile] = weakref.WeakSet()


def _after_fork() -> None:
    """Threads do not survive a fork, and a network that waits for its threads, to compute or to end, hangs. So the
    child loads the network again when it is called, and never frees what the parent loaded. The extra reference is
    what also keeps it at the end of the process, when Python empties every list."""
    for engine in _LOADED:
        engine._forked = True
        for part in vars(engine).values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _OfFile(ABC):
    """An engine that is defined by a file and a number of threads; a pickled engine contains only these two. Threads
    may share it.

    ``scale_weights`` returns the weights of Eq. 3, (B, S, h, w), or None if the file has no such output.
    ``with_people`` returns the scores and the maps of an instance head, (B, 3, p, q), see
    :mod:`ssnan.scores.grouping`.

    Args:
        weights: file that the engine can read.
        threads: threads per photo; all available cores if None.

    Attributes:
        tells_apart: whether the file has an instance head.
        classes: channels of the scores; None if the file does not tell.

    Raises:
        ModelError: the engine is not installed, the file is not a network with ``images`` and ``scores``, or there are
            too many threads.
    """

    classes: int | None = None
    tells_apart = False
    _weighs: bool

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        refuse_unless_threads(threads)
        self.weights = weights
        self.threads = threads
        self._forked = False
        with self._explained():
            self._load(threads or available_cores())
        _LOADED.add(self)

    def __call__(self, pixels: Float32) -> Float32:
        return self._run(["scores"], pixels)[0]

    def scale_weights(self, pixels: Float32) -> Float32 | None:
        return self._run(["scale_weights"], pixels)[0] if self._weighs else None

    def with_people(self, pixels: Float32) -> tuple[Float32, Float32]:
        scores, people = self._run(["scores", "people"], pixels)
        return scores, people

    def _run(self, outputs: list[str], pixels: Float32) -> list[Float32]:
        with self._explained():
            if self._forked:
                self._load(self.threads or available_cores())
                self._forked = False
            return self._outputs(outputs, pixels)

    @abstractmethod
    def _load(self, threads: int) -> None:
        """Load the network, and set the attributes that depend on it."""

    @abstractmethod
    def _outputs(self, names: list[str], pixels: Float32) -> list[Float32]: ...

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert errors of the engine, which have many lines, to one line."""
        try:
            yield
        except (MemoryError, ModelError):
            raise
        except Exception as error:  # engines raise their own classes
            if "alloc" in str(error).lower():
                raise MemoryError from None
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{quoted(self.weights)}: cannot be run as a network ({reason})") from None

    def __reduce__(self) -> tuple[type[_OfFile], tuple[Path, int | None]]:
        return type(self), (self.weights, self.threads)


def disable_telemetry() -> None:
    """Turn off the telemetry of both engines; call this before importing either. Otherwise ONNX Runtime from 1.29 on
    and OpenVINO report to servers of their makers, with an id that they keep in the home directory."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # import treats None as missing


class OnnxRuntimeEngine(_OfFile):
    """ONNX Runtime on the CPU, with an ONNX file."""

    def _load(self, threads: int) -> None:
        disable_telemetry()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Photos differ in size, and an arena would keep the memory of the largest.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(str(self.weights), options, providers=["CPUExecutionProvider"])
        inputs = [entry.name for entry in self._session.get_inputs()]
        outputs = {entry.name: entry for entry in self._session.get_outputs()}
        if inputs != ["images"] or "scores" not in outputs:
            raise ModelError(
                f"{quoted(self.weights)}: expected input 'images' and output 'scores', got {inputs}, {list(outputs)}"
            )
        channels = outputs["scores"].shape[1]
        self.classes = channels if isinstance(channels, int) else None
        self._weighs, self.tells_apart = "scale_weights" in outputs, "people" in outputs

    def _outputs(self, names: list[str], pixels: Float32) -> list[Float32]:
        values: list[Float32] = self._session.run(names, {"images": pixels})
        return values


class _SignalStack(ctypes.Structure):
    """Linux's ``stack_t``."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def _own_signal_stack() -> Iterator[None]:
    """Keep the stack on which this thread receives signals. On processors with AMX, OpenVINO sets one of its own in the
    thread that loads the first network, and frees it with the last one. If another thread does that, the first keeps
    the address, and its next signal ends the process."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


class OpenVINOEngine(_OfFile):
    """OpenVINO on the CPU, in bf16 if the processor supports it, with an ONNX file or OpenVINO's own .xml and .bin. The
    extra ``openvino`` installs it. Each thread has its own inference request, because a request serves one caller at a
    time."""

    def _load(self, threads: int) -> None:
        disable_telemetry()
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise ModelError(lacks("engine openvino", error, "openvino")) from None

        with _own_signal_stack():
            self._model = openvino.Core().compile_model(
                str(self.weights), "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            )
        self._model.input("images")
        channels = self._model.output("scores").partial_shape[1]
        self.classes = channels.get_length() if channels.is_static else None
        outputs = {name for output in self._model.outputs for name in output.names}
        self._weighs, self.tells_apart = "scale_weights" in outputs, "people" in outputs
        self._own = threading.local()

    def _outputs(self, names: list[str], pixels: Float32) -> list[Float32]:
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        found = self._own.request.infer({"images": pixels})
        return [found[name] for name in names]


ENGINES: dict[str, Callable[[Path, int | None], Engine]] = {
    "onnxruntime": OnnxRuntimeEngine,
    "openvino": OpenVINOEngine,
}


def choose() -> tuple[str, str]:
    """The fastest engine here, and the reason. The choice does not depend on the number of photos, because engines
    differ in a few pixels and a photo must have one result."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "onnxruntime", f"OpenVINO was not measured on {platform.machine()}"
    if importlib.util.find_spec("openvino") is None:
        return "onnxruntime", f"OpenVINO, which is faster, is not installed: {install('openvino')}"
    return "openvino", "it is installed and faster than ONNX Runtime"
