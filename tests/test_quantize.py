import numpy as np
import onnx
import pytest
import torch

from fakes.lip import person
from ssnan.engines import OnnxRuntimeEngine
from ssnan.export import export_network
from ssnan.models import SSNAN, AverageAggregation, Backbone
from ssnan.preprocessing import Preprocessing
from ssnan.quantize import convolutions, quantize

PREPROCESSING = Preprocessing(longest_side=97)


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
    quantize(folder / "float.onnx", folder / "int8.onnx", PREPROCESSING, photos)
    return folder / "float.onnx", folder / "int8.onnx"


def test_nearly_the_same_scores(models):
    pixels = PREPROCESSING(person(96, 64, 9)[0])[None]
    exact, rounded = (OnnxRuntimeEngine(path, threads=1)(pixels) for path in models)
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


def test_kept_convolutions_stay_in_floating_point(models, tmp_path):
    names = convolutions(models[0])
    photos = [person(96, 64)[0]]
    quantize(models[0], tmp_path / "kept.onnx", PREPROCESSING, photos, keep=names)
    graph = onnx.load(str(tmp_path / "kept.onnx")).graph
    assert not any(t.data_type == onnx.TensorProto.INT8 for t in graph.initializer)
