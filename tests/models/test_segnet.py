import pytest
import torch
from torch.nn.functional import max_pool2d, max_unpool2d

from ssnan.models import SegNet
from ssnan.models.segnet import unpool
from ssnan.models.vgg import vgg_layers


def test_unpooling_against_torch_s_own():
    features = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    pooled, indices = max_pool2d(features, 2, return_indices=True)
    expected = max_unpool2d(pooled, indices, 2, output_size=features.shape)
    torch.testing.assert_close(unpool(pooled, indices, features), expected)
    assert (expected != 0).sum() == pooled.numel()


def test_decoder_mirrors_the_encoder():
    network = SegNet(5, "vgg11_bn")
    widths = [
        [tuple(module.weight.shape[:2]) for module in block.modules() if isinstance(module, torch.nn.Conv2d)]
        for block in network.decoder
    ]
    assert widths[0] == [(512, 512), (512, 512)]
    assert widths[1] == [(512, 512), (256, 512)]
    assert widths[-1] == [(5, 64)]


@torch.no_grad()
def test_the_encoder_starts_from_weights_of_timm(tmp_path):
    vgg = vgg_layers("vgg11_bn").eval()
    torch.save({f"features.{name}": value for name, value in vgg.state_dict().items()}, tmp_path / "vgg.pth")
    network, images = SegNet(5, "vgg11_bn").eval(), torch.randn(1, 3, 64, 64)
    network.load_backbone(str(tmp_path / "vgg.pth"))
    features = images
    for block in network.encoder:
        features = max_pool2d(block(features), 2)
    torch.testing.assert_close(features, vgg(images))


@pytest.mark.parametrize("wrong", [{"layer1.weight": torch.zeros(2)}, {"features.0.weight": torch.zeros(3)}])
def test_weights_of_another_network_are_one_clear_line(tmp_path, wrong):
    torch.save(wrong, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth.*(is missing|has shape)"):
        SegNet(5, "vgg11_bn").load_backbone(str(tmp_path / "other.pth"))


def test_a_photo_too_small_for_the_pools_is_one_clear_line():
    network = SegNet(5, "vgg11_bn").eval()
    with pytest.raises(ValueError, match="SegNet: expected a photo of 32 × 32 pixels or more, got 16 × 64"):
        network(torch.zeros(1, 3, 16, 64))
    assert network(torch.zeros(1, 3, 32, 32)).scores.shape == (1, 5, 32, 32)
