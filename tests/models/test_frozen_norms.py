import copy

import pytest
import timm
import torch
from torch import nn

from ssnan.models import Backbone
from ssnan.models.frozen_norms import FrozenNorm, NormedConv2d, freeze_norms, other_norms


def lively(network):
    """Norms that do something, as those of trained weights do."""
    torch.manual_seed(0)
    for norm in other_norms(network):
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0, 0.3)
    return network


def resnet(name):
    return lively(timm.create_model(name, features_only=True, out_indices=(-1,))).double()


@pytest.fixture(params=["resnet26", "resnet18", "resnet10t", "mobilenetv3_small_050", "regnetx_002"])
def plain_and_frozen(request):
    plain = resnet(request.param)
    frozen = copy.deepcopy(plain)
    freeze_norms(frozen)
    for norm in (*other_norms(plain), *other_norms(frozen)):
        norm.requires_grad_(False)
    return plain, frozen


def inference_mode_for_norms(network):
    for norm in other_norms(network.train()):
        norm.eval()
    return network


def test_output_and_gradients_equal_those_of_norms_in_inference_mode(plain_and_frozen):
    images = torch.randn(2, 3, 65, 49, dtype=torch.float64)
    gradients = []
    for network in map(inference_mode_for_norms, plain_and_frozen):
        (features,) = network(images)
        features.square().mean().backward()
        gradients.append({name: tensor.grad for name, tensor in network.named_parameters()})
        output = features if len(gradients) == 1 else output
    torch.testing.assert_close(features, output)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_inference_is_unchanged(plain_and_frozen):
    plain, frozen = (network.eval() for network in plain_and_frozen)
    images = torch.randn(1, 3, 65, 49, dtype=torch.float64)
    torch.testing.assert_close(frozen(images), plain(images))


def test_weights_keep_their_names(plain_and_frozen):
    plain, frozen = plain_and_frozen
    assert list(frozen.state_dict()) == list(plain.state_dict())
    frozen.load_state_dict(plain.state_dict())


def test_every_norm_of_a_resnet_is_applied_by_its_convolution():
    network = resnet("resnet50")
    count = len(other_norms(network))
    freeze_norms(network)
    assert other_norms(network) == []
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(FrozenNorm) == kinds.count(NormedConv2d) == count == 53


def test_a_convolution_follows_the_mode_of_its_norm():
    """If not, the norm would be applied twice or never."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    lively(network).eval()
    images = torch.randn(1, 3, 5, 5)
    expected = network(images)
    freeze_norms(network)
    for convolution, norm in ((False, True), (True, False), (True, True), (False, False)):
        network[0].train(convolution)
        network[1].train(norm)
        torch.testing.assert_close(network(images), expected)


def test_a_copy_has_norms_of_its_own():
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    freeze_norms(network)
    copied = copy.deepcopy(network)
    network[1].weight.fill_(7)
    assert copied[0].behind[0] is copied[1]
    assert copied[1].weight.max() == 1


def test_a_convolution_with_a_bias_keeps_its_norm():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    freeze_norms(network)
    assert type(network[1]) is nn.BatchNorm2d
    assert not any(parameter.requires_grad for parameter in network[1].parameters())


def test_training_keeps_the_layout_of_the_features():
    backbone = Backbone("resnet26", frozen_batch_norm=True).train().to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 65, 49).contiguous(memory_format=torch.channels_last)
    assert backbone(images).is_contiguous(memory_format=torch.channels_last)
