import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_max_pool2d

from ssnan.labels import LIP
from ssnan.losses import LossOptions, ParsingLoss
from ssnan.models.backbone import Backbone
from ssnan.models.lg_lstm import LGLSTM, NEIGHBOURS, LocalGlobalLayer, grid_maxima


def test_grid_maxima_are_adaptive_pooling():
    for size in ((3, 3), (7, 5), (41, 31), (2, 9)):
        features = torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(grid_maxima(features), adaptive_max_pool2d(features, 3).flatten(1))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_one_position_against_numpy():
    torch.manual_seed(0)
    layer = LocalGlobalLayer(2)
    hidden, memory = torch.randn(1, 9, 2, 4, 5), torch.randn(1, 9, 2, 4, 5)
    new_hidden, new_memory = layer(hidden, memory)
    h, m = hidden[0].numpy(), memory[0].numpy()
    y, x = 0, 3  # on the border: neighbours above send nothing
    inputs = []
    for n, (dy, dx) in enumerate(NEIGHBOURS):
        inside = 0 <= y + dy < 4 and 0 <= x + dx < 5
        inputs.append(h[n, :, y + dy, x + dx] if inside else np.zeros(2))
    inputs.append(h[8, :, y, x])
    inputs.append(adaptive_max_pool2d(hidden[:, 8], 3).flatten().numpy())
    weight, bias = layer.gates.weight.detach().numpy()[:, :, 0, 0], layer.gates.bias.detach().numpy()
    gates = (weight @ np.concatenate(inputs) + bias).reshape(9, 4, 2)
    for n in range(9):
        keep, write, show, content = gates[n]
        expected = sigmoid(keep) * m[n, :, y, x] + sigmoid(write) * np.tanh(content)
        np.testing.assert_allclose(new_memory[0, n, :, y, x].detach(), expected, atol=1e-5)
        np.testing.assert_allclose(new_hidden[0, n, :, y, x].detach(), sigmoid(show) * np.tanh(expected), atol=1e-5)


def test_five_untrained_layers_still_know_what_the_first_was_told():
    torch.manual_seed(0)
    layers = [LocalGlobalLayer(16) for _ in range(5)]
    told = torch.randn(2, 1, 9, 16, 6, 6)
    ends = []
    for hidden, memory in ((told[0].tanh(), told[1]), (-told[0].tanh(), -told[1])):
        for layer in layers:
            hidden, memory = layer(hidden, memory)
        ends.append(hidden.detach())
    assert (ends[0] - ends[1]).square().mean().sqrt() > 0.1


def test_the_scores_are_those_of_the_last_layer():
    torch.manual_seed(0)
    network = LGLSTM(20, Backbone("resnet10t", output_stride=8, stage=2), cells=4, layers=3).eval()
    images = torch.randn(2, 3, 33, 41)
    with torch.no_grad():
        output = network(images)
        hidden, memory = network.transition(network.backbone(images)).reshape(2, 2, 9, 4, 5, 6).unbind(dim=1)
        hidden, expected = hidden.tanh(), []  # as every hidden state, in −1..1
        for layer, classify in zip(network.layers, network.classifiers, strict=True):
            hidden, memory = layer(hidden, memory)
            expected.append(classify(hidden.reshape(2, 36, 5, 6)))
    torch.testing.assert_close([*output.scale_scores, output.scores], expected)


def test_every_layer_is_supervised():
    """The classifier of each layer, the first too, has a loss of its own."""
    torch.manual_seed(0)
    network = LGLSTM(20, Backbone("resnet10t", output_stride=8, stage=2), cells=4, layers=3)
    output = network(torch.randn(1, 3, 33, 33))
    assert len(output.scale_scores) == 2
    losses = ParsingLoss(LIP)(output, torch.ones(1, 33, 33, dtype=torch.long))
    losses["loss"].backward()
    assert all(classifier.weight.grad.abs().max() > 0 for classifier in network.classifiers)
    assert {"fused/parsing", "scale0/parsing", "scale1/parsing"} <= set(losses)


@pytest.mark.parametrize("layers", [1, 3])
def test_without_deep_supervision_every_parameter_has_a_gradient(layers):
    """Training on several processes expects one."""
    torch.manual_seed(0)
    network = LGLSTM(20, Backbone("resnet10t", output_stride=8, stage=2), cells=4, layers=layers)
    output, labels = network(torch.randn(1, 3, 33, 33)), torch.ones(1, 33, 33, dtype=torch.long)
    loss = ParsingLoss(LIP, LossOptions(deep_supervision=False))(output, labels)["loss"]
    own = network.auxiliary_losses(output, {"labels": labels}, LIP)
    assert sum(own.values()) == 0
    sum(own.values(), start=loss).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
