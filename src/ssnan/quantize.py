"""8-bit weights and activations after training, calibrated on photographs (ONNX Runtime's quantiser).

The result is plain ONNX with QuantizeLinear and DequantizeLinear nodes, which ONNX Runtime and
OpenVINO both run with 8-bit arithmetic."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ssnan.preprocessing import Preprocessing


def quantize(
    weights: Path,
    output: Path,
    preprocessing: Preprocessing,
    photos: Iterable[NDArray[np.uint8]],
    keep: Sequence[str] = (),
) -> None:
    """Write ``output``, the network of ``weights`` with 8-bit convolutions.

    Args:
        weights: ONNX file in floating point.
        output: ONNX file to write.
        preprocessing: of the model's card.
        photos: RGB (H, W, 3); what they make the network compute sets the ranges.
        keep: names of convolutions to leave in floating point.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        # Folds batch norms and the stored 16-bit weights, so that what is quantised is what is computed.
        quant_pre_process(str(weights), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantized),
            _Photos(preprocessing, photos),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "MaxPool"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep),
            extra_options={"CalibMovingAverage": True},
        )
        onnx.save_model(_without_copies(onnx.load(str(quantized))), str(output))


def convolutions(weights: Path) -> list[str]:
    """Names of the convolutions of an ONNX file, in the order they run."""
    return [node.name for node in onnx.load(str(weights)).graph.node if node.op_type == "Conv"]


def _without_copies(model: onnx.ModelProto) -> onnx.ModelProto:
    """The quantiser writes the weights once for every scale that uses them; one copy is enough."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names: dict[str, str] = {}
    kept = []
    for tensor in model.graph.initializer:
        content = (tensor.data_type, tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes())
        names[tensor.name] = first.setdefault(content, tensor.name)
        if names[tensor.name] == tensor.name:
            kept.append(tensor)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return model


class _Photos(CalibrationDataReader):
    def __init__(self, preprocessing: Preprocessing, photos: Iterable[NDArray[np.uint8]]) -> None:
        self.pixels: Iterator[dict[str, Any]] = ({"images": preprocessing(rgb)[None]} for rgb in photos)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.pixels, None)
