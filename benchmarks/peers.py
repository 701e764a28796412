"""The bundled model beside what people run today: seconds from a file to a map of the photo's size.

Usage: python benchmarks/peers.py PHOTO [--mediapipe FILE.tflite] [--runs N]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import timm
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate
from torch.utils.flop_counter import FlopCounterMode

import ssnan
from ssnan.io.images import read_rgb
from ssnan.parsing.engines import ENGINES, available_cores
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.scores.upsampling import labels_at

Step = Callable[[], object]


class SCHPShaped(nn.Module):
    """The network of SCHP's code in its main lines: CE2P on a dilated ResNet-101. A yardstick for speed;
    it is not trained."""

    side, classes = 473, 20

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("resnet101d", features_only=True, output_stride=16, out_indices=(1, 2, 3, 4))
        self.pools = nn.ModuleList(_conv(2048, 512) for _ in range(4))
        self.context = _conv(2048 + 4 * 512, 512, 3)
        self.edges = nn.ModuleList(_conv(channels, 256) for channels in (256, 512, 1024))
        self.edge_scores = nn.ModuleList(nn.Conv2d(256, 2, 3, padding=1) for _ in range(3))
        self.deep, self.shallow = _conv(512, 256), _conv(256, 48)
        self.decoder = nn.Sequential(_conv(304, 256), _conv(256, 256))
        self.fusion = nn.Sequential(_conv(1024, 256), nn.Conv2d(256, self.classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        first, second, third, last = self.backbone(images)
        size = first.shape[-2:]
        pooled = [
            _resized(pool(adaptive_avg_pool2d(last, cells)), last.shape[-2:])
            for pool, cells in zip(self.pools, (1, 2, 3, 6), strict=True)
        ]
        deep = _resized(self.deep(self.context(torch.cat([last, *pooled], 1))), size)
        decoded = self.decoder(torch.cat([deep, self.shallow(first)], 1))
        edges = [edge(features) for edge, features in zip(self.edges, (first, second, third), strict=True)]
        for score, edge in zip(self.edge_scores, edges, strict=True):
            score(edge)  # the edge map is computed, parsing uses the features
        return self.fusion(torch.cat([decoded, *(_resized(edge, size) for edge in edges)], 1))


def _conv(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.01))


def _resized(features: Tensor, size: torch.Size) -> Tensor:
    return interpolate(features, size=size, mode="bilinear", align_corners=True)


def schp_shaped(photo: Path) -> tuple[Step, Step, str]:
    """Its network alone, the whole way, and its work."""
    network = SCHPShaped().eval()
    preprocessing = Preprocessing()
    side = network.side

    def pixels() -> tuple[Tensor, tuple[int, int]]:
        rgb = torch.from_numpy(read_rgb(photo).copy()).movedim(2, 0)[None].float()
        small = interpolate(rgb, size=(side, side), mode="bilinear", align_corners=False) / 255
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
        return (small - mean) / std, tuple(rgb.shape[-2:])

    @torch.inference_mode()
    def whole() -> Tensor:
        small, size = pixels()
        return interpolate(network(small), size=size, mode="bilinear", align_corners=True).argmax(1)

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        fixed, _ = pixels()
        network(fixed)
    return torch.inference_mode()(lambda: network(fixed)), whole, f"{counter.get_total_flops() / 1e9:.0f} GFLOPs"


def mediapipe(photo: Path, file: Path) -> tuple[Step, Step, str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=available_cores())
    interpreter.allocate_tensors()
    [entry], [result] = interpreter.get_input_details(), interpreter.get_output_details()
    _, height, width, _ = entry["shape"]
    preprocessing = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    def pixels() -> tuple[np.ndarray, tuple[int, int]]:
        rgb = read_rgb(photo)
        image = torch.from_numpy(rgb.copy()).movedim(2, 0)[None].float() / 255
        small = interpolate(image, size=(int(height), int(width)), mode="bilinear")[0].movedim(0, 2).numpy()
        return ((small - preprocessing.mean) / preprocessing.std)[None].astype(np.float32), rgb.shape[:2]

    def network() -> np.ndarray:
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    def whole() -> np.ndarray:
        small, size = pixels()
        interpreter.set_tensor(entry["index"], small)
        return labels_at(np.ascontiguousarray(np.moveaxis(network()[0], 2, 0)), *size)

    interpreter.set_tensor(entry["index"], pixels()[0])
    return network, whole, f"{height} × {width}, 6 classes"


def bundled(photo: Path, engine: str) -> tuple[Step, Step, str]:
    parser = ssnan.load(engine=engine)
    pixels = parser.preprocessing(parser.decode(photo).rgb)[None]
    return lambda: parser.engine(pixels), lambda: parser(photo).labels, " × ".join(map(str, pixels.shape[-2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--mediapipe", type=Path, metavar="FILE.tflite")
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(available_cores())
    systems = {"SCHP's shape, PyTorch": schp_shaped(options.photo)}
    if options.mediapipe is not None:
        systems["MediaPipe multiclass, LiteRT"] = mediapipe(options.photo, options.mediapipe)
    systems |= {f"ssnan small, {engine}": bundled(options.photo, engine) for engine in filter(find_spec, ENGINES)}

    seconds = {(name, part): [] for name in systems for part in (0, 1)}
    for run in range(options.runs + 1):
        for name, steps in systems.items():
            steps[1]()  # what ran before has left its own data in the caches and its threads spinning
            for part in (0, 1):
                started = time.perf_counter()
                steps[part]()
                if run:
                    seconds[name, part].append(time.perf_counter() - started)
    height, width, _ = read_rgb(options.photo).shape
    table = Table(title=f"a {width} × {height} photo, {available_cores()} threads, {options.runs} rounds: median ms")
    for column in ("system", "input", "network", "times faster", "file to map", "times faster"):
        table.add_column(column, justify="left" if column in ("system", "input") else "right")
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    yardstick = next(iter(systems))
    for name, (_, _, note) in systems.items():
        cells = []
        for part in (0, 1):
            cells += [f"{1e3 * medians[name, part]:.0f}", f"{medians[yardstick, part] / medians[name, part]:.1f}"]
        table.add_row(name, note, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
