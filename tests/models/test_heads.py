import pytest
import timm
import torch
from safetensors.torch import save_file

from ssnan.models import HAZN, Attention, Backbone, DeepLabV2, FCN8s, Pyramid
from ssnan.models.heads import FC67, LargeFOV
from ssnan.models.initial_weights import take_over


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


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A file of VGG-11's weights, random ones, with fc6 and fc7 of 16 channels."""
    torch.manual_seed(0)
    state = {key: value for key, value in timm.create_model("vgg11").state_dict().items() if "features" in key}
    state |= {
        "pre_logits.fc1.weight": torch.randn(16, 512, 7, 7), "pre_logits.fc1.bias": torch.randn(16),
        "pre_logits.fc2.weight": torch.randn(16, 16, 1, 1), "pre_logits.fc2.bias": torch.randn(16),
    }  # fmt: skip
    path = tmp_path_factory.mktemp("vgg") / "vgg11.safetensors"
    save_file(state, path)
    return str(path), state


def backbone():
    return Backbone("vgg11", output_stride=8)


def test_fcn_begins_with_vgg_s_own_fc6_and_fc7(vgg):
    path, state = vgg
    network = FCN8s(20, Pyramid("vgg11"), hidden=16)
    network.load_backbone(path)
    fc67 = network.head[0]
    assert fc67[0].weight.equal(state["pre_logits.fc1.weight"])
    assert fc67[3].weight.equal(state["pre_logits.fc2.weight"])
    assert fc67[3].bias.equal(state["pre_logits.fc2.bias"])
    fast = {id(parameter) for parameter in network.new_parameters()}
    assert id(fc67[0].weight) not in fast
    assert id(network.head[1].weight) in fast


@pytest.mark.parametrize(
    "build",
    [
        lambda: Attention(20, backbone(), hidden=4, width=4),
        lambda: DeepLabV2(20, backbone(), "large_fov", hidden=4),
        lambda: DeepLabV2(20, backbone(), "aspp", hidden=4),
        lambda: HAZN(20, backbone(), parts=1, zoom=(65, 49), hidden=4),
    ],
    ids=["attention", "large_fov", "aspp", "hazn"],
)
def test_large_fields_of_view_take_every_fourth_channel_and_third_position(build, vgg):
    path, state = vgg
    network = build()
    before = len(network.new_parameters())
    network.load_backbone(path)
    heads = [module for module in network.modules() if isinstance(module, LargeFOV)]
    assert heads
    for head in heads:
        assert head[0].weight.equal(state["pre_logits.fc1.weight"][::4, :, ::3, ::3])
        assert head[0].bias.equal(state["pre_logits.fc1.bias"][::4])
        assert head[3].weight.equal(state["pre_logits.fc2.weight"][::4, ::4])
    assert len(network.new_parameters()) == before - 4 * len(heads)


def test_fc6_and_fc7_of_the_first_step_learn_at_the_base_rate_in_the_second(vgg):
    first, second, other = (DeepLabV2(20, backbone(), "aspp", hidden=hidden) for hidden in (4, 4, 5))
    first.load_backbone(vgg[0])
    take_over(second, first.state_dict())
    take_over(other, first.state_dict())  # has no fc6 and fc7 of this width
    names = []
    for network in (first, second, other):
        fast = {id(parameter) for parameter in network.new_parameters()}
        names.append({name for name, parameter in network.named_parameters() if id(parameter) in fast})
    assert names[0] == names[1] < names[2]


def test_weights_without_fc6_leave_the_heads_as_they_were(tmp_path):
    network = DeepLabV2(20, Backbone("resnet10t", output_stride=8, stage=2), "large_fov", hidden=4)
    before = [parameter.clone() for parameter in network.head.parameters()]
    whole = {key: value.contiguous() for key, value in timm.create_model("resnet10t").state_dict().items()}
    save_file(whole, tmp_path / "w.safetensors")
    network.load_backbone(str(tmp_path / "w.safetensors"))
    assert all(parameter.equal(other) for parameter, other in zip(before, network.head.parameters(), strict=True))
    assert len(network.new_parameters()) == len(before)
