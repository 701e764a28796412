"""Draw a network of this code in the layout of the paper's Figure 2. Each box is a module; shapes are read from a
forward pass.

    architecture.py CONFIG -o FIGURE.svg

CONFIG is a recipe of an SSNAN, such as lip/ss_nan. The network runs once, on an empty image of the crop's size.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import torch
from torch import Tensor, nn

from ssnan.models import SSNAN, NeuralAggregation
from ssnan.training.cli import command_line

BLUE, GREEN, YELLOW, GREY = "#dbe9f6", "#dff0d8", "#fdf1cc", "#f2f2f2"
ROW, BOX = 96, 46


@dataclass
class Sheet:
    """SVG elements, and the size of the area that they cover."""

    parts: list[str] = field(default_factory=list)
    width: float = 0
    height: float = 0

    def box(self, x: float, y: float, width: float, height: float, lines: list[str], fill: str) -> None:
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" stroke="#555"/>'
        )
        first = y + height / 2 - 7 * (len(lines) - 1) + 4
        for index, line in enumerate(lines):
            self.text(x + width / 2, first + 14 * index, line)
        self.width, self.height = max(self.width, x + width + 20), max(self.height, y + height + 20)

    def text(self, x: float, y: float, text: str, size: int = 11) -> None:
        self.parts.append(f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="middle">{escape(text)}</text>')

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        path = " ".join(f"{x},{y}" for x, y in points)
        style = 'stroke="#b03030" stroke-dasharray="4 3"' if dashed else 'stroke="#333"'
        self.parts.append(f'<polyline points="{path}" fill="none" {style} marker-end="url(#tip)"/>')

    def svg(self) -> str:
        tip = '<path d="M0,0 L7,3 L0,6 z" fill="#333"/>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'font-family="Helvetica, Arial, sans-serif"><defs><marker id="tip" markerWidth="8" markerHeight="6" '
            f'refX="7" refY="3" orient="auto">{tip}</marker></defs><rect width="100%" height="100%" fill="white"/>'
            f"{''.join(self.parts)}</svg>\n"
        )


def watched(network: SSNAN, images: Tensor) -> dict[str, list[tuple[int, ...]]]:
    """The shapes (C, h, w) of each module's outputs, in the order of its calls, by the module's name."""
    seen: dict[str, list[tuple[int, ...]]] = {}
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            seen.setdefault(names[module], []).append(tuple(output.shape[1:]))

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.inference_mode():
            network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def convolution(layer: nn.Conv2d) -> str:
    return f"{layer.out_channels} @ {layer.kernel_size[0]} × {layer.kernel_size[1]}"


def size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def millions(*modules: nn.Module) -> str:
    return f"{sum(parameter.numel() for module in modules for parameter in module.parameters()) / 1e6:.1f} M"


def draw(network: SSNAN, crop: tuple[int, int]) -> str:
    seen = watched(network, torch.zeros(1, 3, *crop))
    stages = [name for name, _ in network.backbone.features.named_children() if name.startswith(("maxpool", "layer"))]
    attention, sheet = network.aggregation.attention, Sheet()
    rows = {scale: 60 + ROW * index for index, scale in enumerate(network.scales)}
    middle = 60 + ROW * (len(rows) - 1) / 2
    sheet.box(20, middle, 84, BOX, ["image", size((3, *crop))], GREY)
    left, stage_width = 270, 104
    right = left + stage_width * len(stages)
    bottom = 60 + ROW * (len(rows) - 1) + BOX
    sheet.box(left - 12, 14, right - left + 16, bottom, [], BLUE)
    shared = (
        f"{type(network.backbone).__name__}, one for all scales: {network.backbone.name}, {millions(network.backbone)}"
    )
    sheet.text((left + right) / 2, 36, shared, 12)
    sheet.text(right + 72, 34, "one classifier:", 12)
    sheet.text(right + 72, 50, convolution(network.classifier), 12)
    fusion = right + 300
    for index, (scale, y) in enumerate(rows.items()):
        half = y + BOX / 2
        side = [1 + round((side - 1) * scale) for side in crop]
        sheet.box(140, y, 90, BOX, [f"scale {scale:g}", size((3, *side))], GREY)
        sheet.arrow((104, middle + BOX / 2), (122, middle + BOX / 2), (122, half), (140, half))
        previous = 230.0
        for place, name in enumerate(stages):
            x = left + stage_width * place
            shape = seen[f"backbone.features.{name}"][index]
            sheet.box(x, y, stage_width - 18, BOX, ["stem" if name == "maxpool" else name, size(shape)], "white")
            sheet.arrow((previous, half), (x, half))
            previous = x + stage_width - 18
        sheet.box(right + 24, y, 96, BOX, ["scores", size(seen["classifier"][index])], GREEN)
        sheet.arrow((previous, half), (right + 24, half))
        finest = seen["classifier"][len(rows) - 1]
        sheet.box(right + 146, y, 100, BOX, [f"x, scale {scale:g}", size(finest)], GREEN)
        sheet.arrow((right + 120, half), (right + 146, half))
        sheet.arrow(
            (right + 246, half), (right + 272, half), (right + 272, middle + BOX / 2), (fusion, middle + BOX / 2)
        )
        sheet.arrow((right + 72, y + BOX), (right + 72, y + BOX + 22), dashed=True)
        sheet.text(right + 72, y + BOX + 34, "loss", 11)
    sheet.text(right + 196, 34, "resized to", 12)
    sheet.text(right + 196, 50, "the finest", 12)
    steps = [
        [f"concatenated: {size((network.num_classes * len(rows), *finest[1:]))}"],
        [convolution(attention[0]), size(seen["aggregation.attention.0"][0])],
        [type(attention[1]).__name__],
        [convolution(attention[2]), size(seen["aggregation.attention.2"][0])],
        ["softmax over scales: w (Eq. 3)"],
        ["Σ w · x (Eq. 2)", size(finest)],
        ["softmax over classes"],
    ]
    heights = [28 if len(lines) == 1 else 40 for lines in steps]
    y = middle + BOX / 2 - (sum(heights) + 14 * (len(steps) - 1)) / 2
    top = y
    sheet.box(fusion - 10, top - 34, 210, sum(heights) + 14 * (len(steps) - 1) + 46, [], YELLOW)
    sheet.text(fusion + 95, top - 14, f"{type(network.aggregation).__name__}, {millions(network.aggregation)}", 12)
    for lines, height in zip(steps, heights, strict=True):
        sheet.box(fusion, y, 190, height, lines, "white")
        if y > top:
            sheet.arrow((fusion + 95, y - 14), (fusion + 95, y))
        y += height + 14
    sheet.arrow((fusion + 95, y - 14), (fusion + 95, y + 24), dashed=True)
    sheet.text(fusion + 95, y + 38, "loss")
    sheet.height = max(sheet.height, y + 50)
    return sheet.svg()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a recipe's name, such as lip/ss_nan, or its file")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    cli = command_line(["--config", options.config])
    network = cli.model.network
    if not isinstance(network, SSNAN) or not isinstance(network.aggregation, NeuralAggregation):
        parser.error(f"{options.config}: expected a recipe of an SSNAN with its NeuralAggregation")
    options.output.write_text(draw(network, tuple(cli.datamodule.crop)))


if __name__ == "__main__":
    main()
