import pytest
import torch

from ssnan.models.heads import FC67, LargeFOV


@pytest.mark.parametrize("head", [LargeFOV(64, 128, dilation=1), FC67(32, 64, kernel=7)], ids=["LargeFOV", "7 × 7"])
def test_untrained_layers_keep_the_size_of_what_they_read(head):
    torch.manual_seed(0)
    for layer in head:
        if hasattr(layer, "reset_parameters"):
            assert (layer.bias == 0).all()
    features = torch.randn(2, head[0].in_channels, 20, 20).relu()
    with torch.no_grad():
        result = head.eval()(features)[:, :, 4:-4, 4:-4]
    assert 0.7 < (result.square().mean() / features.square().mean()).sqrt() < 1.4
