"""Export a checkpoint to an ONNX file and its model card."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn

from ssnan.data.layouts import open_split
from ssnan.errors import quoted
from ssnan.evaluation.evaluate import evaluate
from ssnan.evaluation.metrics import Score
from ssnan.export.quantize import Photos, by_error, quantize_for_onnxruntime, quantize_for_openvino
from ssnan.io.writing import appearing_together, unfinished_folder
from ssnan.models import ParsingNetwork, ParsingOutput
from ssnan.parsing.card import ModelCard, ModelError
from ssnan.parsing.engines import ENGINES
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import MIN_SIDE, Preprocessing
from ssnan.training.checkpoint import read_task
from ssnan.training.results import flops

ROUNDED_FROM = 1024
"""Weight tensors with at least this many elements are stored in 16 bits."""
MAY_LOSE = 0.005
"""The largest loss of mean IoU for bf16 and int8."""
CALIBRATED_ON = 32
"""Number of photos that set the ranges of 8-bit activations."""
KEPT = (0, 4, 12)
"""Number of convolutions that stay in floating point, at the first attempt and after each loss."""

Maker = Callable[[Path, Path, Preprocessing, Photos, Sequence[str]], None]


def export_checkpoint(
    checkpoint: Path,
    output: Path,
    about: Mapping[str, Any] | None = None,
    longest_side: int | None = None,
    min_person_confidence: float = 0.0,
) -> ModelCard:
    """Write ``output`` (.onnx) with its card beside it.

    Args:
        checkpoint: checkpoint of ``ssnan train``.
        output: ONNX file to write.
        about: notes to add to the card.
        longest_side: pixels of the longest side of the input; that of the validation if None.
        min_person_confidence: value for the card.

    Raises:
        ModelError: the file is not a checkpoint, or the JSON in the place of the card is not a card.
    """
    place = output.with_suffix(".json")
    earlier = _replaced(place)
    task = read_task(checkpoint)
    if longest_side is not None:
        task.preprocessing = replace(task.preprocessing, longest_side=longest_side)
    export_network(task.network, output)
    notes = {**(about or {}), "flops_321": flops(task.network, 321), "precision": "fp32"}
    files = {"onnxruntime": output}
    card = ModelCard(output.stem, task.label_set, task.preprocessing, files, min_person_confidence, notes)
    card.write(place)
    for file in _of_openvino(output):
        if file in earlier:  # the new weights are not in it
            file.unlink(missing_ok=True)
    return card


def _of_openvino(weights: Path) -> list[Path]:
    return [weights.with_suffix(suffix) for suffix in (".xml", ".bin")]


def _replaced(place: Path) -> list[Path]:
    """The weights of the model whose card is in this place, if there is one. Refuses a JSON file that is not a model
    card, such as one of ``ssnan evaluate --json``."""
    if not place.exists():
        return []
    try:
        return ModelCard.read(place).all_files()
    except ModelError as error:
        raise ModelError(
            f"{error}; the new card would replace {quoted(place.name)}; choose another name for -o, or remove it"
        ) from None


def save_weights(checkpoint: Path, output: Path) -> None:
    """Write the weights of a checkpoint to ``output`` (.safetensors) for ``model.start_from``: matrices and filters in
    16 bits, the rest unchanged.

    Raises:
        ModelError: the file is not a checkpoint.
    """
    state = read_task(checkpoint).network.state_dict()
    weights = {f"network.{key}": value.half() if value.ndim > 1 else value for key, value in state.items()}
    with appearing_together() as written_at:
        save_file({key: value.contiguous() for key, value in weights.items()}, written_at(output))


def compress(card: ModelCard, precision: str, data: Sequence[Path]) -> tuple[ModelCard, dict[str, float]]:
    """Replace the fp32 weights of a model by smaller ones if they lose little.

    Args:
        card: from :func:`export_checkpoint`.
        precision: ``bf16`` rounds the weights in the file; ``int8`` makes one file per engine with weights and
            activations in 8 bits. If that loses too much, the most sensitive convolutions stay in floating point.
        data: datasets. ``val`` photos of the first measure the loss, ``train`` photos of all set the ranges of
            activations.

    Returns:
        The card, after writing it, and the mean IoU of every precision and engine.

    Raises:
        ModelError: the loss exceeds ``MAY_LOSE``, or a file that is not the model's has the name of a new one; the
            model stays in fp32.
        DatasetError: a dataset is invalid.
    """
    full, makers = card.weights(), _makers(precision)
    for place in _of_openvino(full) if "openvino" in makers else ():
        if place.exists() and place not in card.all_files():
            raise ModelError(
                f"{quoted(place)}: is not a file of this model, and {precision} would replace it; choose another name "
                f"for -o, or remove it; {quoted(full)} stays in fp32"
            )
    check = open_split(data[0], "val")
    photos = _calibration(data)

    def mean_iou(engine: str, weights: Path) -> float:
        parser = Parser(ENGINES[engine](weights, None), card.label_set, card.preprocessing)
        measured = evaluate(parser, (check[i] for i in range(len(check))), check.label_set)
        return Score.of_present(measured.confusion, check.label_set.sets).mean_iou

    best = mean_iou("onnxruntime", full)
    reached = {"fp32, onnxruntime": best}
    with unfinished_folder(full.parent) as temporary:
        files: dict[str, Path] = {}
        hurt: list[str] = []
        for engine, (make, suffix) in makers.items():
            files[engine] = temporary / full.with_suffix(suffix).name
            for kept in KEPT:
                make(full, files[engine], card.preprocessing, photos, hurt[:kept])
                after = reached[f"{precision}, {engine}"] = mean_iou(engine, files[engine])
                if best - after <= MAY_LOSE or precision == "bf16":
                    break
                hurt = hurt or by_error(files["onnxruntime"], card.preprocessing, photos[:2])
            if best - after > MAY_LOSE:
                raise ModelError(
                    f"{precision} would lower {data[0].name} val mean IoU from {100 * best:.2f} to {100 * after:.2f} "
                    f"with {engine}, more than the {100 * MAY_LOSE:.1f} allowed; {full} stays in fp32"
                )
        for file in temporary.iterdir():  # OpenVINO has two files
            file.replace(full.with_name(file.name))
    placed = {engine: full.with_name(file.name) for engine, file in files.items()}
    card = replace(card, files=placed, about=card.about | {"precision": precision})
    card.write(full.with_suffix(".json"))
    return card, reached


def _makers(precision: str) -> dict[str, tuple[Maker, str]]:
    """The function that makes the file of each engine, and its suffix; OpenVINO's only if NNCF is installed."""
    if precision == "bf16":
        return {"onnxruntime": (_round_to_bf16, ".onnx")}
    made: dict[str, tuple[Maker, str]] = {"onnxruntime": (quantize_for_onnxruntime, ".onnx")}
    if importlib.util.find_spec("nncf") and importlib.util.find_spec("openvino"):
        made["openvino"] = (quantize_for_openvino, ".xml")
    return made


def _calibration(data: Sequence[Path]) -> list[NDArray[np.uint8]]:
    folders = [open_split(root, "train") for root in data]
    share = -(-CALIBRATED_ON // len(folders))
    return [folder[i].image for folder in folders for i in range(0, len(folder), -(-len(folder) // share))]


def export_network(network: ParsingNetwork, output: Path) -> None:
    """Write a network as ONNX, from ``images`` (B, 3, H, W) to ``scores`` (B, C, h, w) for any B, H and W. If scales
    have weights per pixel, ``scale_weights`` (B, S, h, w) is an output too (Eq. 3), and so is ``people`` (B, 3, p, q)
    of a network with an instance head, see :mod:`ssnan.scores.grouping`."""
    outputs = _Outputs(network).eval()
    names = list(_named(network.eval()(torch.zeros(1, 3, 96, 64))))
    # The bounds tell the tracer that the coarsest scale has at least one feature.
    batch = torch.export.Dim("batch", min=1, max=1024)
    height, width = (torch.export.Dim(name, min=MIN_SIDE, max=1 << 14) for name in ("height", "width"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes about internals of the exporter
        program = torch.onnx.export(
            outputs,
            (torch.randn(2, 3, 96, 64),),
            dynamo=True,
            input_names=["images"],
            output_names=names,
            dynamic_shapes=({0: batch, 2: height, 3: width},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces of the exporting machine
    with appearing_together() as written_at:
        onnx.save_model(model, written_at(output))


class _Outputs(nn.Module):
    def __init__(self, network: ParsingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(_named(self.network(images)).values())


def _named(output: ParsingOutput) -> dict[str, Tensor]:
    """The outputs of the file by name."""
    named = {"scores": output.scores, "scale_weights": output.scale_weights, "people": output.people}
    return {name: value for name, value in named.items() if value is not None}


def _round_to_bf16(weights: Path, output: Path, *_: object) -> None:
    """Store large weights as bfloat16, which halves the file; they become float32 when it is read. An engine that
    computes in bf16, as OpenVINO on processors with bf16, loses no further accuracy."""
    model = onnx.load(weights)
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < ROUNDED_FROM:
            continue
        name, rounded = tensor.name, torch.from_numpy(values.copy()).bfloat16().view(torch.int16).numpy()
        tensor.CopyFrom(
            helper.make_tensor(f"{name}.bf16", TensorProto.BFLOAT16, values.shape, rounded.tobytes(), raw=True)
        )
        casts.append(helper.make_node("Cast", [f"{name}.bf16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save_model(model, output)
