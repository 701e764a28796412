import itertools

import numpy as np
import pytest
import torch

from ssnan.models import AverageAggregation, MaximumAggregation, NeuralAggregation, SharedNeuralAggregation


def conv3x3(maps, weight, bias):
    """Numpy twin of a padded 3 × 3 convolution over (C, h, w)."""
    _, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width)) + bias[:, None, None]
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + height, dx : dx + width]
            out += np.einsum("oc,chw->ohw", weight[:, :, dy, dx], window)
    return out


def decided(module):
    """Weights large enough for the scales to differ."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


def numpy_attention(module, x):
    first, second = (
        {k: v.detach().numpy().astype(float) for k, v in module.attention[i].named_parameters()} for i in (0, 2)
    )
    return conv3x3(np.maximum(conv3x3(x, **first), 0), **second)


def three_maps(channels=4):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, channels, 5, 6, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("module", [NeuralAggregation(4, 3, hidden=8), SharedNeuralAggregation(4, hidden=8)])
def test_equations_2_and_3_against_numpy(module):
    maps = three_maps()
    fused, weights = decided(module)(maps)
    x = np.stack([scores[0].numpy() for scores in maps]).astype(float)  # s, c, h, w
    if isinstance(module, NeuralAggregation):
        a = numpy_attention(module, x.reshape(12, 5, 6))
    else:
        a = np.concatenate([numpy_attention(module, scale) for scale in x])
    w = np.exp(a) / np.exp(a).sum(axis=0)
    r = np.zeros((4, 5, 6))
    for s in range(3):
        for c in range(4):
            r[c] += w[s] * x[s, c]
    np.testing.assert_allclose(weights[0].detach().numpy(), w, atol=1e-5)
    np.testing.assert_allclose(fused[0].detach().numpy(), r, atol=1e-5)
    assert weights.std() > 0.05


@pytest.mark.parametrize("module", [NeuralAggregation(3, 4, hidden=8), SharedNeuralAggregation(3, hidden=8)])
def test_result_lies_in_the_convex_hull(module):
    maps = [torch.randn(2, 3, 8, 8) for _ in range(4)]
    fused, weights = decided(module)(maps)
    stacked = torch.stack(maps)
    assert (fused <= stacked.amax(0) + 1e-5).all()
    assert (fused >= stacked.amin(0) - 1e-5).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 8, 8))


def test_shared_head_is_permutation_equivariant():
    module, maps = decided(SharedNeuralAggregation(4, hidden=8)), three_maps()
    fused, weights = module(maps)
    for order in itertools.permutations(range(3)):
        again, permuted = module([maps[i] for i in order])
        torch.testing.assert_close(again, fused, atol=1e-6, rtol=0)
        torch.testing.assert_close(permuted, weights[:, list(order)], atol=1e-6, rtol=0)


def test_the_paper_s_module_is_not():
    module, maps = decided(NeuralAggregation(4, 3, hidden=8)), three_maps()
    assert (module(maps)[0] - module(maps[::-1])[0]).abs().max() > 1e-3


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shared_head_takes_any_number_of_scales(count):
    fused, weights = decided(SharedNeuralAggregation(4, hidden=8))([torch.randn(2, 4, 5, 6) for _ in range(count)])
    assert fused.shape == (2, 4, 5, 6)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 5, 6))


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_training_starts_near_average_pooling(kind):
    torch.manual_seed(0)
    module = NeuralAggregation(4, 3, hidden=8) if kind == "own" else SharedNeuralAggregation(4, hidden=8)
    _, weights = module(three_maps())
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 3), atol=0.01, rtol=0)


def test_pooling_over_scales_by_hand():
    maps = [torch.tensor([[[[1.0]], [[6.0]]]]), torch.tensor([[[[3.0]], [[2.0]]]])]
    fused, weights = AverageAggregation()(maps)
    assert fused.flatten().tolist() == [2.0, 4.0]
    assert weights.flatten().tolist() == [0.5, 0.5]
    fused, weights = MaximumAggregation()(maps)
    assert fused.flatten().tolist() == [3.0, 6.0]
    assert weights is None
    fused, _ = MaximumAggregation()([*maps, torch.zeros_like(maps[0])])
    assert fused.flatten().tolist() == [3.0, 6.0]


def test_wrong_number_of_scales():
    with pytest.raises(ValueError, match="expected 3 maps"):
        NeuralAggregation(2, 3)([torch.randn(1, 2, 4, 4)] * 2)


@pytest.mark.parametrize(
    "aggregation",
    [
        NeuralAggregation(4, 2, hidden=8),
        SharedNeuralAggregation(4, hidden=8),
        AverageAggregation(),
        MaximumAggregation(),
    ],
    ids=lambda aggregation: type(aggregation).__name__,
)
def test_maps_that_cannot_be_fused_are_refused_with_a_remedy(aggregation):
    with pytest.raises(ValueError, match=r"one shape, got \(1, 4, 5, 6\) and \(1, 4, 3, 3\); .*resize_to_finest"):
        aggregation([torch.zeros(1, 4, 5, 6), torch.zeros(1, 4, 3, 3)])
    with pytest.raises(ValueError, match="got none"):
        aggregation([])
    if aggregation.channels:
        with pytest.raises(ValueError, match="maps of 4 channels, got 7"):
            aggregation([torch.zeros(1, 7, 5, 6)] * 2)
