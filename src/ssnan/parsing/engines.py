"""Engines that run a network: one signature, whatever computes."""

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

from ssnan.errors import quoted
from ssnan.parsing.card import ModelError

Float32 = NDArray[np.float32]


Engine = Callable[[Float32], Float32]
"""Normalised pixels (B, 3, H, W) to class scores (B, C, h, w)."""


QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Cores this process may use; in a container that is fewer than the machine has, whether the
    container pins cores or, as cgroups do, hands out time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroups, or "max": no quota
        return cores


MOST_THREADS = 256


_LOADED: weakref.WeakSet[_OfFile] = weakref.WeakSet()


def _after_fork() -> None:
    """Threads do not survive a fork, and a network that waits for its own, be it to compute or to end, waits for
    ever. So what the parent loaded is never freed in the child, which loads it again when it is called."""
    for engine in _LOADED:
        engine._forked = True
        for part in vars(engine).values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _OfFile(ABC):
    """What a file and a number of threads make again elsewhere: pickled, an engine is these two. Beside the scores,
    ``scale_weights`` gives the weights of Eq. 3, (B, S, h, w), or None where the file has no such output.

    Attributes:
        classes: channels of the scores; None where the file does not say.

    Raises:
        ModelError: the file is no network with ``images`` and ``scores``, or too many threads.
    """

    classes: int | None = None
    _weighs: bool

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise ModelError(f"threads: expected 1 to {MOST_THREADS}, got {threads}")
        self.weights = weights
        self.threads = threads
        self._forked = False
        _LOADED.add(self)

    def __call__(self, pixels: Float32) -> Float32:
        return self._run("scores", pixels)

    def scale_weights(self, pixels: Float32) -> Float32 | None:
        return self._run("scale_weights", pixels) if self._weighs else None

    def _run(self, output: str, pixels: Float32) -> Float32:
        if self._forked:
            # Loaded again in place: parsers hold this object.
            self.__init__(self.weights, self.threads)  # type: ignore[misc]
        with self._explained():
            return self._output(output, pixels)

    @abstractmethod
    def _output(self, name: str, pixels: Float32) -> Float32: ...

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the engine raises, in one line: their own errors have many."""
        try:
            yield
        except (ModuleNotFoundError, MemoryError, ModelError):
            raise
        except Exception as error:  # of classes of their own
            if "alloc" in str(error).lower():
                raise MemoryError from None
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{quoted(self.weights)}: cannot be run as a network ({reason})") from None

    def __reduce__(self) -> tuple[type[_OfFile], tuple[Path, int | None]]:
        return type(self), (self.weights, self.threads)


class OnnxRuntimeEngine(_OfFile):
    """ONNX Runtime on the CPU; threads may share it.

    Args:
        weights: ONNX file.
        threads: threads of one picture; every available core if None.
    """

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        import onnxruntime

        super().__init__(weights, threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Pictures differ in size; an arena would keep the largest ever seen.
        options.enable_cpu_mem_arena = False
        with self._explained():
            self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
            entries, results = ([entry.name for entry in side] for side in
                                (self._session.get_inputs(), self._session.get_outputs()))  # fmt: skip
            if entries != ["images"] or "scores" not in results:
                raise ModelError(f"{quoted(weights)}: expected input 'images' and output 'scores', got {entries}, "
                                 f"{results}")  # fmt: skip
            channels = self._session.get_outputs()[results.index("scores")].shape[1]
            self._weighs = "scale_weights" in results
        self.classes = channels if isinstance(channels, int) else None

    def _output(self, name: str, pixels: Float32) -> Float32:
        values: Float32 = self._session.run([name], {"images": pixels})[0]
        return values


def disable_openvino_telemetry() -> None:
    """Called before OpenVINO is imported, which would otherwise tell an analytics server of it, with a number of
    the user's that it keeps in the home directory. It does without where the package for that is not to be had."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what import takes for "missing"


class OpenVINOEngine(_OfFile):
    """OpenVINO on the CPU, in bf16 where the processor has it; the extra ``openvino`` installs it. Threads may
    share it: each gets an inference request of its own, since one computes for one caller at a time.

    Args:
        weights: ONNX file, or OpenVINO's own .xml with its .bin beside it.
        threads: threads of one picture; every available core if None.

    Raises:
        ModuleNotFoundError: OpenVINO is not installed.
    """

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        disable_openvino_telemetry()
        import openvino

        super().__init__(weights, threads)
        with self._explained():
            self._model = openvino.Core().compile_model(
                str(weights),
                "CPU",
                {"INFERENCE_NUM_THREADS": threads or available_cores(), "PERFORMANCE_HINT": "LATENCY"},
            )
            channels = self._model.output("scores").partial_shape[1]
            self._model.input("images")
            self._weighs = any("scale_weights" in output.names for output in self._model.outputs)
        self.classes = channels.get_length() if channels.is_static else None
        self._own = threading.local()

    def _output(self, name: str, pixels: Float32) -> Float32:
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        values: Float32 = self._own.request.infer({"images": pixels})[name]
        return values


ENGINES: dict[str, Callable[[Path, int | None], Engine]] = {
    "onnxruntime": OnnxRuntimeEngine,
    "openvino": OpenVINOEngine,
}


def choose() -> tuple[str, str]:
    """The engine that is fastest here, and why. How many pictures there are does not count: engines differ in a few
    pixels, and a photo has one result, whatever stands beside it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "onnxruntime", f"OpenVINO was not measured on {platform.machine()}"
    if importlib.util.find_spec("openvino") is None:
        return "onnxruntime", "OpenVINO, which is faster, is not installed: pip install 'ssnan[openvino]'"
    return "openvino", "it is installed and faster than ONNX Runtime"
