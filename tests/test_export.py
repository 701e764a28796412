import numpy as np
import onnxruntime
import pytest
import torch

from ssnan.export import HALF_FROM, export_network
from ssnan.models import SSNAN, Backbone, NeuralAggregation


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    aggregation = NeuralAggregation(7, 3, hidden=16)
    network = SSNAN(7, Backbone("resnet10t", output_stride=16), aggregation=aggregation).eval()
    for parameter in network.parameters():
        if parameter.numel() >= HALF_FROM:  # what the file can hold exactly
            parameter.data = parameter.data.half().float()
    path = tmp_path_factory.mktemp("export") / "n.onnx"
    export_network(network, path)
    return network, onnxruntime.InferenceSession(str(path))


@pytest.mark.parametrize("shape", [(1, 3, 65, 65), (3, 3, 97, 131), (1, 3, 33, 200)])
def test_torch_and_onnx_agree(exported, shape):
    network, session = exported
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    [scores] = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = network(images).scores.numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    assert np.abs(expected).max() > 0.01
