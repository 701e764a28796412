import numpy as np
import pytest
import torch

from ssnan.models import NeuralAggregation


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


def test_equations_2_and_3_against_numpy():
    torch.manual_seed(0)
    module = NeuralAggregation(channels=4, num_scales=3, hidden=8)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    maps = [torch.randn(1, 4, 5, 6) for _ in range(3)]
    fused, weights = module(maps)

    x = np.stack([scores[0].numpy() for scores in maps]).astype(float)  # s, c, h, w
    first, second = (
        {k: v.detach().numpy().astype(float) for k, v in module.attention[i].named_parameters()} for i in (0, 2)
    )
    a = conv3x3(np.maximum(conv3x3(x.reshape(12, 5, 6), **first), 0), **second)
    w = np.exp(a) / np.exp(a).sum(axis=0)
    r = np.zeros((4, 5, 6))
    for s in range(3):
        for c in range(4):
            r[c] += w[s] * x[s, c]
    np.testing.assert_allclose(weights[0].detach().numpy(), w, atol=1e-5)
    np.testing.assert_allclose(fused[0].detach().numpy(), r, atol=1e-5)


def test_result_lies_in_the_convex_hull():
    maps = [torch.randn(2, 3, 8, 8) for _ in range(4)]
    fused, weights = NeuralAggregation(3, 4, hidden=8)(maps)
    stacked = torch.stack(maps)
    assert (fused <= stacked.amax(0) + 1e-5).all()
    assert (fused >= stacked.amin(0) - 1e-5).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 8, 8))


def test_wrong_number_of_scales():
    with pytest.raises(ValueError, match="expected 3 maps"):
        NeuralAggregation(2, 3)([torch.randn(1, 2, 4, 4)] * 2)
