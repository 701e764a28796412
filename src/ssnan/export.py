"""From a checkpoint to an ONNX file and its card."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ssnan.card import ModelCard, ModelError
from ssnan.data.layouts import open_split
from ssnan.engines import OnnxRuntimeEngine
from ssnan.evaluate import evaluate
from ssnan.metrics import Score
from ssnan.models import ParsingNetwork
from ssnan.parser import Parser
from ssnan.preprocessing import MIN_SIDE
from ssnan.quantize import quantize
from ssnan.training.checkpoint import read_task
from ssnan.training.results import flops

HALF_FROM = 1024
"""Weight tensors of at least this many elements are stored in 16 bits."""


MAY_LOSE = 0.005
"""Mean IoU that 8 bits may cost."""
CALIBRATED_ON = 32
"""Photographs that set the ranges of 8-bit activations."""


def export_checkpoint(
    checkpoint: Path, output: Path, about: Path | None = None, longest_side: int | None = None
) -> ModelCard:
    """Write ``output`` (.onnx) and its card beside it.

    Args:
        checkpoint: of ``ssnan train``.
        output: ONNX file to write.
        about: JSON object that becomes the card's ``about``.
        longest_side: of the network's input, in place of the one it was validated with.

    Raises:
        ModelError: no checkpoint.
    """
    task = read_task(checkpoint)
    if longest_side is not None:
        task.preprocessing = replace(task.preprocessing, longest_side=longest_side)
    output.parent.mkdir(parents=True, exist_ok=True)
    export_network(task.network, output)
    notes = {} if about is None else json.loads(about.read_text())
    notes["flops_321"] = flops(task.network, 321)
    card = ModelCard(output.stem, task.label_set, task.preprocessing, output, notes)
    card.write(output.with_suffix(".json"))
    return card


def quantize_model(card: ModelCard, data: Sequence[Path]) -> tuple[float, float]:
    """Replace a model's weights by their 8-bit form, calibrated on ``train`` pictures of datasets and
    checked on the ``val`` pictures of the first.

    Returns:
        Mean IoU before and after, by ONNX Runtime.

    Raises:
        ModelError: more than ``MAY_LOSE`` was lost; the weights are left as they were.
        DatasetError: a dataset is not what it should be.
    """
    folders = [open_split(root, "train") for root in data]
    share = -(-CALIBRATED_ON // len(folders))
    photos = (folder[i].image for folder in folders for i in range(0, len(folder), -(-len(folder) // share)))
    check = open_split(data[0], "val")

    def mean_iou(weights: Path) -> float:
        parser = Parser(OnnxRuntimeEngine(weights), card.label_set, card.preprocessing)
        return Score.of_present(evaluate(parser, (check[i] for i in range(len(check))))).mean_iou

    before = mean_iou(card.weights)
    with tempfile.TemporaryDirectory(dir=card.weights.parent, prefix=".ssnan-") as folder:
        quantized = Path(folder) / card.weights.name
        quantize(card.weights, quantized, card.preprocessing, photos)
        after = mean_iou(quantized)
        if before - after > MAY_LOSE:
            raise ModelError(
                f"8 bits would take mean IoU on {data[0].name} val from {100 * before:.2f} to {100 * after:.2f}, more "
                f"than the {100 * MAY_LOSE:.1f} allowed; {card.weights} is left in floating point"
            )
        quantized.replace(card.weights)
    return before, after


def export_network(network: ParsingNetwork, output: Path) -> None:
    """Write a network as ONNX, ``images`` (B, 3, H, W) to ``scores`` (B, C, h, w), any B, H and W.

    Large weights are rounded to float16 in the file and computed with in float32: half the size,
    the same speed.
    """
    # Without bounds the tracer cannot tell whether the coarsest scale has a feature left.
    batch = torch.export.Dim("batch", min=1, max=1024)
    height, width = (torch.export.Dim(name, min=MIN_SIDE, max=1 << 14) for name in ("height", "width"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes about its own internals
        program = torch.onnx.export(
            _Scores(network).eval(),
            (torch.randn(2, 3, 96, 64),),
            dynamo=True,
            input_names=["images"],
            output_names=["scores"],
            dynamic_shapes=({0: batch, 2: height, 3: width},),
            verbose=False,
        )
    assert program is not None
    onnx.save_model(_with_half_weights(program.model_proto), output)


class _Scores(nn.Module):
    def __init__(self, network: ParsingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).scores


def _with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALF_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    for node in nodes:
        del node.metadata_props[:]  # stack traces of the exporting machine
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
