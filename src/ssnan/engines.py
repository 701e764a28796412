"""Engines that run a network: one signature, whatever computes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


Engine = Callable[[Float32], Float32]
"""Normalised pixels (B, 3, H, W) to class scores (B, C, h, w)."""


def available_cores() -> int:
    """Cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU.

    Args:
        weights: ONNX file.
        threads: threads of one picture; every available core if None.
    """

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Pictures differ in size; an arena would keep the largest ever seen.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])

    def __call__(self, pixels: Float32) -> Float32:
        scores: Float32 = self._session.run(["scores"], {"images": pixels})[0]
        return scores


class OpenVINOEngine:
    """OpenVINO on the CPU; the extra ``openvino`` installs it.

    Args:
        weights: ONNX file.
        threads: threads of one picture; every available core if None.

    Raises:
        ModuleNotFoundError: OpenVINO is not installed.
    """

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        import openvino

        self._model = openvino.Core().compile_model(
            str(weights),
            "CPU",
            {"INFERENCE_NUM_THREADS": threads or available_cores(), "PERFORMANCE_HINT": "LATENCY"},
        )

    def __call__(self, pixels: Float32) -> Float32:
        scores: Float32 = self._model({"images": pixels})["scores"]
        return scores


ENGINES: dict[str, Callable[[Path, int | None], Engine]] = {
    "onnxruntime": OnnxRuntimeEngine,
    "openvino": OpenVINOEngine,
}
