import re

import numpy as np
import onnx
import pytest
import torch

from fakes.lip import person
from ssnan.export.onnx import export_network
from ssnan.export.quantize import (
    PRODUCTS,
    by_error,
    quantize_for_onnxruntime,
    quantize_for_openvino,
)
from ssnan.models import (
    SSNAN,
    AverageAggregation,
    Backbone,
    EdgeBackbone,
    MeanField,
    SSNANWithContext,
    SSNANWithPeople,
)
from ssnan.parsing.engines import OnnxRuntimeEngine, OpenVINOEngine
from ssnan.parsing.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(longest_side=97)


def convolutions(path):
    """Names of the convolutions of an ONNX file in execution order."""
    return [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A small network in floating point and in 8 bits."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    backbone = Backbone("resnet10t", stage=2, frozen_batch_norm=True)
    network = SSNAN(5, backbone, scales=(0.5, 1.0), aggregation=AverageAggregation()).eval()
    torch.nn.init.normal_(network.classifier.weight, std=0.1)
    export_network(network, folder / "float.onnx")
    photos = (person(96, 64, shift)[0] for shift in range(6))
    quantize_for_onnxruntime(folder / "float.onnx", folder / "int8.onnx", PREPROCESSING, photos)
    return folder / "float.onnx", folder / "int8.onnx"


@pytest.fixture(scope="module")
def for_openvino(models):
    photos = [person(96, 64, shift)[0] for shift in range(6)]
    path = models[0].with_name("int8.xml")
    quantize_for_openvino(models[0], path, PREPROCESSING, photos)
    return path


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_nearly_the_same_scores(models, for_openvino, engine):
    pixels = PREPROCESSING(person(96, 64, 9)[0])[None]
    exact = OnnxRuntimeEngine(models[0], threads=1)(pixels)
    if engine == "onnxruntime":
        rounded = OnnxRuntimeEngine(models[1], threads=1)(pixels)
    else:
        rounded = OpenVINOEngine(for_openvino, threads=1)(pixels)
    assert exact.shape == rounded.shape
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).mean() < 0.05 * np.abs(exact - exact.mean()).mean()
    assert (exact.argmax(axis=1) == rounded.argmax(axis=1)).mean() > 0.9


def test_any_size_and_batch(models):
    scores = OnnxRuntimeEngine(models[1], threads=1)(np.zeros((2, 3, 65, 129), dtype=np.float32))
    assert scores.shape[:2] == (2, 5)


def test_weights_that_scales_share_are_stored_once(models):
    graph = onnx.load(str(models[1])).graph
    stored = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4]
    assert len(stored) * 2 == len(convolutions(models[1]))
    assert models[1].stat().st_size < 0.7 * models[0].stat().st_size


def test_a_result_is_rounded_once_for_the_next_convolution(models):
    """Rounding before a ReLU and after it costs time and accuracy."""
    graph = onnx.load(str(models[1])).graph
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    relus = [node for node in graph.node if node.op_type == "Relu"]
    assert all(node.input[0] not in rounded for node in relus)
    assert len(relus) < sum(node.op_type == "Relu" for node in onnx.load(str(models[0])).graph.node)


def test_sizes_are_read_from_the_rounded_maps(models):
    graph = onnx.load(str(models[1])).graph
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    sizes = [node.input[0] for node in graph.node if node.op_type == "Shape"]
    assert sizes
    assert not rounded & {*sizes}


def test_kept_convolutions_stay_in_floating_point(models, tmp_path):
    names = convolutions(models[0])
    photos = [person(96, 64)[0]]
    quantize_for_onnxruntime(models[0], tmp_path / "kept.onnx", PREPROCESSING, photos, keep=names)
    graph = onnx.load(str(tmp_path / "kept.onnx")).graph
    assert not any(t.data_type == onnx.TensorProto.INT8 for t in graph.initializer)


def test_openvino_s_file_is_small_and_keeps_what_it_is_told(models, for_openvino, tmp_path):
    def size(path):
        return path.with_suffix(".bin").stat().st_size

    assert size(for_openvino) < 0.4 * models[0].stat().st_size
    kept = tmp_path / "kept.xml"
    quantize_for_openvino(models[0], kept, PREPROCESSING, [person(96, 64)[0]], keep=convolutions(models[0]))
    assert size(kept) > 1.5 * size(for_openvino)


def test_the_convolution_that_rounding_hurts_most_comes_first(models, tmp_path):
    """One huge weight, and the range it asks for leaves nothing of the other channels."""
    broken = onnx.load(str(models[0]))
    [weights] = [t for t in broken.graph.initializer if t.name.endswith("classifier.weight")]
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0] *= 3e4
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(broken, tmp_path / "broken.onnx")
    photos = [person(96, 64)[0]]
    quantize_for_onnxruntime(tmp_path / "broken.onnx", tmp_path / "int8.onnx", PREPROCESSING, photos)
    names = by_error(tmp_path / "int8.onnx", PREPROCESSING, photos)
    assert sorted(names) == sorted(convolutions(tmp_path / "int8.onnx"))
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    producers = {output: node for node in graph.node for output in node.output}
    found = {node.name: producers[node.input[1]].input[0] for node in graph.node if node.op_type == "Conv"}
    assert "classifier" in found[names[0]]


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory):
    """A small network with a softmax over scales and a mean field, in floating point."""
    folder = tmp_path_factory.mktemp("agreeing")
    backbone = EdgeBackbone("resnet26", width=8, edge_width=8)
    network = SSNANWithContext(5, backbone, context_width=8, agreement=MeanField([[1, 2]]))
    export_network(network, folder / "agreeing.onnx")
    return folder / "agreeing.onnx"


def test_onnx_runtime_rounds_nothing_of_the_weighed_scales(agreeing):
    path = agreeing.with_name("int8.onnx")
    quantize_for_onnxruntime(agreeing, path, PREPROCESSING, [person(96, 64)[0]])
    after, kinds = set(), set()
    for node in onnx.load(path).graph.node:
        if node.op_type == "Softmax" or after & {*node.input}:
            after |= {*node.output}
            kinds.add(node.op_type)
    assert {"Softmax", "MatMul", "Resize", "Add"} <= kinds
    assert "QuantizeLinear" not in kinds


def test_openvino_rounds_nothing_of_the_weighed_scales(agreeing):
    path = agreeing.with_suffix(".xml")
    quantize_for_openvino(agreeing, path, PREPROCESSING, [person(96, 64)[0]])
    import openvino  # its telemetry is off now

    shares, after, kinds, rounded = set(), set(), set(), False
    for operation in openvino.Core().read_model(path).get_ordered_ops():
        name, kind = operation.get_friendly_name(), operation.get_type_name()
        before = {value.get_node().get_friendly_name() for value in operation.input_values()}
        if before & after:
            after.add(name)
            kinds.add(kind)
        elif kind == "Softmax" or before & shares:
            (after if kind == "Multiply" else shares).add(name)
            rounded |= kind == "FakeQuantize"
    assert rounded  # what the weighing reads
    assert {"Softmax", "MatMul", "Interpolate", "Add"} <= kinds
    assert "FakeQuantize" not in kinds


def test_the_products_of_a_mean_field_are_known_by_name(agreeing):
    products = [node.name for node in onnx.load(agreeing).graph.node if node.op_type == "MatMul"]
    assert len(products) == 3 + 5  # the kernel, one for every step, and totals of groups
    assert all(re.fullmatch(PRODUCTS, name) for name in products)


def test_what_the_file_returns_is_not_rounded(tmp_path):
    """An offset in 8 bits would be wrong by a part of a cell."""
    backbone = EdgeBackbone("resnet26", width=8, edge_width=8)
    exact = tmp_path / "people.onnx"
    export_network(SSNANWithPeople(5, backbone, context_width=8), exact)
    quantize_for_onnxruntime(exact, tmp_path / "int8.onnx", PREPROCESSING, [person(96, 64)[0]])
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    producers = {output: node for node in graph.node for output in node.output}
    last = producers["people"]
    assert last.op_type == "Conv"
    assert all(name not in producers for name in last.input[1:])  # weights as they are
    quantize_for_openvino(exact, tmp_path / "int8.xml", PREPROCESSING, [person(96, 64)[0]])
    import openvino  # its telemetry is off now

    [result] = [one for one in openvino.Core().read_model(tmp_path / "int8.xml").outputs if "people" in one.get_names()]
    operation = result.get_node().input_value(0).get_node()
    while operation.get_type_name() != "Convolution":
        assert operation.get_type_name() in {"Add", "Convert"}
        operation = operation.input_value(0).get_node()
    weights = operation.input_value(1).get_node()  # those of 8 bits are multiplied by their scale
    assert weights.get_type_name() in {"Constant", "Convert"}
