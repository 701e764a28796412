"""The machine's peak: operations per second of large matrix products, by engine and precision.

Usage: python benchmarks/matrix_peak.py [--threads N]
"""

import argparse
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

from ssnan.parsing.engines import available_cores, disable_telemetry

PEAK_SIDE = 2048
"""Sides of the square matrices for measuring the machine's peak."""
PEAK_CHAIN = 8
"""Products in a row, so that converting the input to the engine's precision does not count."""


def matmul_peak(engine: str, precision: str, threads: int | None) -> float:
    """Operations per second of large matrix products, the best of a few, in the precision of the engine for a file of
    ``precision``: 8 bits for ``int8``; for other files, float32 in ONNX Runtime and OpenVINO's choice, which is bf16 if
    the processor supports it."""
    matrix = np.random.default_rng(0).standard_normal((PEAK_SIDE, PEAK_SIDE), dtype=np.float32)
    multiply: Callable[[], object] = lambda: matrix @ matrix  # noqa: E731
    if engine == "openvino":
        disable_telemetry()
        import openvino
        from openvino import opset13 as ops

        left: Any = ops.parameter([PEAK_SIDE, PEAK_SIDE], np.float32)
        last, right = left, ops.constant(matrix)
        if precision == "int8":
            right = ops.fake_quantize(right, *(np.float32(end) for end in (-4, 4, -4, 4)), 255)
        for _ in range(PEAK_CHAIN):
            if precision == "int8":
                last = ops.fake_quantize(last, *(np.float32(end) for end in (0, 4, 0, 4)), 256)
            last = ops.matmul(last, right, False, False)
        product = openvino.Model([last], [left])
        options = {"INFERENCE_NUM_THREADS": threads or available_cores(), "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(product, "CPU", options)
        multiply = lambda: compiled([matrix])  # noqa: E731
    elif precision == "int8":
        multiply = _int8_product(threads)
    multiply()
    products = PEAK_CHAIN if engine == "openvino" else 1
    return products * 2 * PEAK_SIDE**3 / min(timeit.repeat(multiply, number=1, repeat=5))


def _int8_product(threads: int | None) -> Callable[[], object]:
    """ONNX Runtime's product of an unsigned and a signed 8-bit matrix, as in its convolutions."""
    from onnx import TensorProto, helper
    from onnxruntime import InferenceSession, SessionOptions

    side = [PEAK_SIDE, PEAK_SIDE]
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.UINT8, side),
        helper.make_tensor_value_info("b", TensorProto.INT8, side),
    ]
    outputs = [helper.make_tensor_value_info("c", TensorProto.INT32, side)]
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["c"])], "product", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    left = generator.integers(0, 255, side, dtype=np.uint8)
    right = generator.integers(-127, 127, side, dtype=np.int8)
    return lambda: session.run(None, {"a": left, "b": right})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    print("| engine | precision | GFLOP/s |\n|---|---|---|")
    for engine in ("onnxruntime", "openvino"):
        for precision in ("fp32", "int8"):
            print(f"| {engine} | {precision} | {matmul_peak(engine, precision, options.threads) / 1e9:.0f} |")


if __name__ == "__main__":
    main()
