"""SS-NAN on ResNet-101 at stride 8, 321 × 321, three scales, untrained: every engine and precision.

Usage: python benchmarks/resnet101.py PHOTO... [--runs N]      (the photos calibrate the 8 bits)
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matrix_peak import matmul_peak
from rich.console import Console
from rich.table import Table

from ssnan.export.onnx import export_network
from ssnan.export.quantize import quantize_for_onnxruntime, quantize_for_openvino
from ssnan.io.images import read_rgb
from ssnan.models import SSNAN, Backbone
from ssnan.parsing.engines import OnnxRuntimeEngine, OpenVINOEngine, available_cores
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.training.results import flops

SIDE = 321


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(available_cores())
    network = SSNAN(20, Backbone("resnet101", output_stride=8)).eval()
    work = flops(network, SIDE)
    preprocessing = Preprocessing(longest_side=SIDE)
    photos = [read_rgb(path) for path in options.photos]
    pixels = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), dtype=np.float32)
    image = torch.from_numpy(pixels)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        full, eight, own = folder / "full.onnx", folder / "int8.onnx", folder / "int8.xml"
        export_network(network, full)
        quantize_for_onnxruntime(full, eight, preprocessing, photos)
        quantize_for_openvino(full, own, preprocessing, photos)
        engines: dict[str, Callable[[np.ndarray], object]] = {
            "PyTorch, eager, fp32": torch.inference_mode()(lambda _: network(image)),
            "ONNX Runtime, fp32": OnnxRuntimeEngine(full),
            "ONNX Runtime, int8": OnnxRuntimeEngine(eight),
            "OpenVINO, its own choice": OpenVINOEngine(full),
            "OpenVINO, int8": OpenVINOEngine(own),
        }
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for run in range(options.runs + 1):
            for name, engine in engines.items():
                started = time.perf_counter()
                engine(pixels)
                if run:
                    seconds[name].append(time.perf_counter() - started)
    peaks = {}
    for name in engines:
        engine_name = "openvino" if "OpenVINO" in name else "onnxruntime"
        peaks[name] = matmul_peak(engine_name, "int8" if "int8" in name else "fp32", None)
    table = Table(title=f"{work / 1e9:.0f} GFLOPs, {available_cores()} threads, median of {options.runs} rounds")
    for column in ("engine", "ms", "times faster", "GFLOP/s", "matmul GFLOP/s", "share, %"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    slowest = medians["PyTorch, eager, fp32"]
    for name, median in medians.items():
        speed, peak = work / median, peaks[name]
        cells = [f"{1e3 * median:.0f}", f"{slowest / median:.1f}", f"{speed / 1e9:.0f}"]
        cells += [f"{peak / 1e9:.0f}", f"{100 * speed / peak:.0f}"]
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
