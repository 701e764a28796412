"""Quantise weights and activations to 8 bits after training, calibrated on photos.

Each engine needs its own file and quantiser. ONNX Runtime has 8-bit kernels only if the quantiser rounds the input and
output of a convolution. OpenVINO is fastest if a sum reads the unrounded result of a convolution."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ssnan.parsing.engines import disable_telemetry
from ssnan.parsing.preprocessing import Preprocessing

Photos = Iterable[NDArray[np.uint8]]
"""RGB photos (H, W, 3), whose activations set the ranges."""


PRODUCTS = r"^node_matmul(_\d+)?$"
"""Names of products of two activations in an exported file. 8 bits would round the small weights of
:class:`ssnan.models.MeanField` to zero."""


def quantize_for_onnxruntime(
    weights: Path, output: Path, preprocessing: Preprocessing, photos: Photos, keep: Sequence[str] = ()
) -> None:
    """Write ``output`` (.onnx), the network of ``weights`` with 8-bit convolutions.

    Args:
        weights: ONNX file in floating point.
        output: ONNX file to write.
        preprocessing: preprocessing of the model card.
        photos: photos to calibrate on.
        keep: names of convolutions to leave in floating point.
    """
    with tempfile.TemporaryDirectory() as folder:
        quantized = Path(folder) / "quantized.onnx"
        quantize_static(
            str(_folded(weights, Path(folder))),
            str(quantized),
            _Photos(preprocessing, photos),
            quant_format=QuantFormat.QDQ,
            # One 8-bit kernel computes a convolution and its ReLU, if the result is rounded only after the ReLU.
            op_types_to_quantize=["Conv", "MaxPool", "Relu", "Resize"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # 7 bits, because kernels without VNNI add two products in 16 bits, and products of 8 bits overflow.
            reduce_range=True,
            nodes_to_exclude=[*keep, *_returned(weights), *_of_weighed_scales(weights)],
            extra_options={"CalibMovingAverage": True},
        )
        onnx.save_model(_smaller(onnx.load(str(quantized))), str(output))


def quantize_for_openvino(
    weights: Path, output: Path, preprocessing: Preprocessing, photos: Photos, keep: Sequence[str] = ()
) -> None:
    """Write ``output`` (.xml with a .bin beside it); see :func:`quantize_for_onnxruntime` for the arguments.

    Raises:
        ModuleNotFoundError: NNCF or OpenVINO is not installed; the extra ``quantize`` installs them.
    """
    disable_telemetry()
    import nncf
    import openvino

    pixels = [preprocessing(rgb)[None] for rgb in photos]
    with tempfile.TemporaryDirectory() as folder:
        model = openvino.Core().read_model(_folded(weights, Path(folder)))
        quantized = nncf.quantize(
            model,
            nncf.Dataset(pixels),
            # Symmetric weights, asymmetric activations, because inputs of convolutions may be negative.
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pixels),
            # OpenVINO adds the bias in a separate operation and names the convolution NAME/WithoutBiases.
            ignored_scope=nncf.IgnoredScope(
                names=_of_weighed_scales(weights),
                patterns=[PRODUCTS, *(f"^{re.escape(name)}(/.*)?$" for name in (*keep, *_returned(weights)))],
                validate=False,
            ),
        )
        openvino.save_model(quantized, output)


def _returned(weights: Path) -> list[str]:
    """Names of the convolutions whose result the file returns, and of these results, by which OpenVINO calls them. With
    8 bits, the offsets of an instance head would be wrong by a part of a cell."""
    model = onnx.load(weights)
    outputs = {output.name for output in model.graph.output}
    found = [node for node in model.graph.node if node.op_type == "Conv" and outputs & {*node.output}]
    return [name for node in found for name in (node.name, *node.output)]


def _of_weighed_scales(weights: Path) -> list[str]:
    """Names of the operations but convolutions that depend on the weighed scales, and of their results: their sum and
    the mean field. They cost little, and 8 bits of scores would decide between classes."""
    shares: set[str] = set()
    weighed: set[str] = set()
    names = []
    for node in onnx.load(weights).graph.node:
        if weighed & {*node.input}:
            weighed |= {*node.output}
            names += [] if node.op_type == "Conv" else [node.name, *node.output]
        elif node.op_type == "Softmax" or shares & {*node.input}:
            (weighed if node.op_type == "Mul" else shares).update(node.output)
    return names


def by_error(quantized: Path, preprocessing: Preprocessing, photos: Photos) -> list[str]:
    """Names of the 8-bit convolutions of a file from :func:`quantize_for_onnxruntime`, the most sensitive to rounding
    first. The measure is the variance of the error divided by that of the signal, in the median channel of the input or
    the output, whichever is worse."""
    model = onnx.load(str(quantized))
    after = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    pairs = {n.input[0]: after[n.output[0]] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    names = [name for pair in pairs.items() for name in pair if name != "images"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    noise = dict.fromkeys(pairs, 0.0)
    for rgb in photos:
        pixels = preprocessing(rgb)[None]
        seen = dict(zip(names, session.run(names, {"images": pixels}), strict=True)) | {"images": pixels}
        for exact, rounded in pairs.items():
            error, signal = (x.var(axis=(0, 2, 3)) for x in (seen[exact] - seen[rounded], seen[exact]))
            noise[exact] += float(np.median(error / np.maximum(signal, np.finfo(np.float32).tiny)))
    worst = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            tensors = (node.input[0].split("_DequantizeLinear_Output")[0], node.output[0])
            worst[node.name] = max(noise.get(tensor, 0.0) for tensor in tensors)
    return sorted(worst, key=lambda name: -worst[name])


def _folded(weights: Path, folder: Path) -> Path:
    """Fold batch norms and 16-bit weights into the convolutions, so that the quantised weights are those of the
    computation."""
    folded = folder / "folded.onnx"
    quant_pre_process(str(weights), str(folded), skip_symbolic_shape=True)
    return folded


def _smaller(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the quantiser writes and no engine needs: the weights once more for every scale that uses them,
    shapes of all tensors, names of all roundings, and floating-point copies of maps whose size alone is asked for."""
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
    del model.graph.value_info[:]
    rounded = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        if node.op_type == "Shape":
            node.input[0] = rounded.get(node.input[0], node.input[0])
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            node.name = ""
    return model


class _Photos(CalibrationDataReader):
    def __init__(self, preprocessing: Preprocessing, photos: Photos) -> None:
        self.pixels: Iterator[dict[str, Any]] = ({"images": preprocessing(rgb)[None]} for rgb in photos)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.pixels, None)
