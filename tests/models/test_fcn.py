import pytest
import torch

from ssnan.models import FCN8s, Pyramid


def test_skips_count_by_their_scale():
    """Scores are linear in the scales: each skip adds what its scored map is times its scale."""
    torch.manual_seed(0)
    network = FCN8s(3, Pyramid("resnet10t", frozen_batch_norm=True), hidden=4).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():

        def scores(of_8, of_16):
            network.skip_scales = (of_8, of_16)
            return network(images).scores

        coarse, eighth, sixteenth = scores(0, 0), scores(1, 0) - scores(0, 0), scores(0, 1) - scores(0, 0)
        torch.testing.assert_close(scores(1e-2, 0.5), coarse + 1e-2 * eighth + 0.5 * sixteenth)
        torch.testing.assert_close(eighth, network.score_8(network.backbone(images)[0]))
    assert sixteenth.abs().max() > 0


def test_another_number_of_maps_is_refused():
    with pytest.raises(ValueError, match="FCN8s: expected a backbone with 3 maps, got 2"):
        FCN8s(3, Pyramid("resnet10t", [8, 16]), hidden=4)
