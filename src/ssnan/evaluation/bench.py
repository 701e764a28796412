"""``ssnan bench``: the time of each step, its share of the machine's peak, and its growth."""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from ssnan.parsing.batch import Saving, parse_files
from ssnan.parsing.card import ModelError, find_card
from ssnan.parsing.engines import ENGINES, available_cores, untold
from ssnan.parsing.images import read_rgb
from ssnan.parsing.parser import Parser, Scored
from ssnan.parsing.views import Views

STAGES = ("decode", "prepare", "network", "upsample", "encode")
SIZES = ((320, 480), (640, 960), (1080, 1620), (3000, 4500))
"""Width and height of the photos for measuring growth."""
PEAK_SIDE = 2048
"""Sides of the square matrices for measuring the machine's peak."""
PEAK_CHAIN = 8
"""Products in a row, so that converting the input to the engine's precision does not count."""


def measure(model: str, photo: Path, runs: int, threads: int | None) -> dict[str, Any]:
    """Time a model on a photo with every installed engine; returns plain values in seconds.

    Raises:
        ModelError: there is no such model.
        ImageError: the photo cannot be read.
    """
    card = find_card(model)
    about = card.about
    flops, precision = about.get("flops_321"), about.get("precision", "fp32")
    width, height = Image.fromarray(read_rgb(photo)).size
    engines: dict[str, Any] = {}
    for name in ENGINES:
        try:
            parser = Parser.of_card(card, name, threads)
        except ModelError:
            continue  # not installed
        rows, columns = parser.preprocessing.size(height, width)
        entry: dict[str, Any] = {"stages": time_stages(parser, photo, runs), "network_input": [rows, columns]}
        if flops is not None:
            speed = flops * rows * columns / 321**2 / entry["stages"]["network"]["median"]
            peak = matmul_peak(name, precision, threads)
            entry["flop_per_second"] = speed
            if peak is not None:
                entry |= {"peak_flop_per_second": peak, "share_of_peak": speed / peak}
        entry["growth"] = growth(parser, photo, runs)
        engines[name] = entry
    return {
        "model": model,
        "photo": [width, height],
        "threads": threads or available_cores(),
        "runs": runs,
        "engines": engines,
        "peak_memory_mb": peak_memory(),
    }


def time_stages(parser: Parser, photo: Path, runs: int) -> dict[str, dict[str, float]]:
    """Seconds of each step from a file to a PNG, after one warm-up run: median and quartiles."""
    laps: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for run in range(runs + 1):
        times = [time.perf_counter()]
        decoded = parser.decode(photo)
        times.append(time.perf_counter())
        pixels = parser.preprocessing(decoded.rgb)[None]
        times.append(time.perf_counter())
        scores = parser.engine(pixels)[0]
        times.append(time.perf_counter())
        result = parser.finish(Scored(scores, decoded.height, decoded.width))
        times.append(time.perf_counter())
        result.to_image().save(io.BytesIO(), format="PNG")
        times.append(time.perf_counter())
        if run:
            for stage, (start, end) in zip(STAGES, pairwise(times), strict=True):
                laps[stage].append(end - start)
    laps["total"] = [sum(one) for one in zip(*laps.values(), strict=True)]
    return {stage: spread(seconds) for stage, seconds in laps.items()}


def growth(parser: Parser, photo: Path, runs: int) -> dict[str, dict[str, float]]:
    """Median seconds per photo by photo size, batch size, scales and number of files."""
    rgb = Image.fromarray(read_rgb(photo))
    grown: dict[str, dict[str, float]] = {"photo size": {}, "batch": {}, "scales": {}, "files": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for width, height in SIZES:
            file = folder / f"{width}.jpg"
            rgb.resize((width, height)).save(file, quality=90)
            grown["photo size"][f"{width} × {height}"] = _median(lambda file=file: parser(file), runs)  # type: ignore[misc]
        pixels = parser.preprocessing(np.asarray(rgb))[None]
        for batch in (1, 2, 4):
            stacked = np.repeat(pixels, batch, axis=0)
            grown["batch"][str(batch)] = _median(lambda p=stacked: parser.engine(p), runs) / batch  # type: ignore[misc]
        for scales in ((1.0,), (0.75, 1.0), (0.75, 1.0, 1.25)):
            several = Parser(
                parser.engine, parser.label_set, parser.preprocessing, Views(scales), parser.min_person_confidence
            )
            grown["scales"][", ".join(f"{s:g}" for s in scales)] = _median(lambda p=several: p(photo), runs)  # type: ignore[misc]
        for count in (1, 4, 16):
            inputs = {folder / f"{i}.jpg": Path(str(i)) for i in range(count)}
            for file in inputs:
                rgb.save(file, quality=90)
            run_all = lambda: list(parse_files(parser, inputs, Saving(folder / "out")))  # noqa: B023, E731
            grown["files"][str(count)] = _median(run_all, max(1, runs // 4)) / count
    return grown


def matmul_peak(engine: str, precision: str, threads: int | None) -> float | None:
    """Operations per second of large matrix products, the best of a few, in the precision of the engine for a file of
    ``precision``: 8 bits for ``int8``; for other files, float32 in ONNX Runtime and OpenVINO's choice, which is bf16 if
    the processor supports it. None for ONNX Runtime in 8 bits without the extra ``train``, which builds its product."""
    matrix = np.random.default_rng(0).standard_normal((PEAK_SIDE, PEAK_SIDE), dtype=np.float32)
    multiply: Callable[[], object] = lambda: matrix @ matrix  # noqa: E731
    if engine == "openvino":
        untold()
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
        try:
            multiply = _int8_product(threads)
        except ModuleNotFoundError:
            return None
    multiply()
    products = PEAK_CHAIN if engine == "openvino" else 1
    return products * 2 * PEAK_SIDE**3 / min(_seconds(multiply) for _ in range(5))


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


def peak_memory() -> float | None:
    """The peak memory of this process in MB; None if the system does not report it."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else (seconds[0],) * 3
    return {"median": middle, "low": low, "high": high}


def tables(report: dict[str, Any]) -> list[Table]:
    """The report as tables, in milliseconds."""
    stages = Table(
        title=f"{report['model']}, a {' × '.join(map(str, report['photo']))} photo, {report['threads']} threads: ms"
    )
    stages.add_column("step")
    for name in report["engines"]:
        stages.add_column(name, justify="right")
    for stage in (*STAGES, "total"):
        cells = (entry["stages"][stage] for entry in report["engines"].values())
        stages.add_row(stage, *(f"{1e3 * c['median']:.1f} ({1e3 * c['low']:.1f}–{1e3 * c['high']:.1f})" for c in cells))
    if all("share_of_peak" in entry for entry in report["engines"].values()):
        for key, label, unit in (("flop_per_second", "GFLOP/s", 1e-9), ("peak_flop_per_second", "matmul GFLOP/s", 1e-9),
                                 ("share_of_peak", "share of that, %", 100)):  # fmt: skip
            stages.add_row(label, *(f"{unit * entry[key]:.0f}" for entry in report["engines"].values()))
    grown = Table(title="ms per photo")
    for column in ("by", "", *report["engines"]):
        grown.add_column(column, justify="left" if column == "by" else "right")
    first = next(iter(report["engines"].values()))["growth"]
    for axis, values in first.items():
        for step in values:
            cells = (entry["growth"][axis][step] for entry in report["engines"].values())
            grown.add_row(axis, step, *(f"{1e3 * cell:.1f}" for cell in cells))
    return [stages, grown]


def _median(function: Callable[[], object], runs: int) -> float:
    function()
    return statistics.median(_seconds(function) for _ in range(runs))


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
