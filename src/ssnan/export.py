"""From a checkpoint to an ONNX file and its card."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ssnan.card import ModelCard
from ssnan.models import ParsingNetwork
from ssnan.preprocessing import MIN_SIDE
from ssnan.training.checkpoint import read_task
from ssnan.training.results import flops

HALF_FROM = 1024
"""Weight tensors of at least this many elements are stored in 16 bits."""


def export_checkpoint(checkpoint: Path, output: Path, about: Path | None = None) -> ModelCard:
    """Write ``output`` (.onnx) and its card beside it.

    Args:
        checkpoint: of ``ssnan train``.
        output: ONNX file to write.
        about: JSON object that becomes the card's ``about``.

    Raises:
        ModelError: no checkpoint.
    """
    task = read_task(checkpoint)
    output.parent.mkdir(parents=True, exist_ok=True)
    export_network(task.network, output)
    notes = {} if about is None else json.loads(about.read_text())
    notes["flops_321"] = flops(task.network, 321)
    card = ModelCard(output.stem, task.label_set, task.preprocessing, output, notes)
    card.write(output.with_suffix(".json"))
    return card


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
