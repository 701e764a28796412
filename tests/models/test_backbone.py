import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from ssnan.models import Backbone, EdgeBackbone, Pyramid, SegNet, SkipBackbone
from ssnan.models.frozen_norms import FrozenNorm


@pytest.mark.parametrize("variant", ["v1.5", "v1"])
def test_dilated_backbone_sampled_at_every_fourth_position_equals_the_strided_one(variant):
    torch.manual_seed(0)
    strided = Backbone("resnet26", output_stride=32, resnet=variant).eval()
    dilated = Backbone("resnet26", output_stride=8, resnet=variant).eval()
    dilated.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 97, 97)
    with torch.no_grad():
        coarse, fine = strided(images), dilated(images)
    assert fine.shape[-1] > 3 * coarse.shape[-1]
    assert (strided.stride, dilated.stride) == (32, 8)
    torch.testing.assert_close(fine[:, :, ::4, ::4], coarse, atol=1e-4, rtol=1e-4)


def test_cut_after_a_stage():
    assert Backbone("resnet26", output_stride=16, stage=3)(torch.randn(2, 3, 64, 64)).shape == (2, 1024, 4, 4)


def test_frozen_modules_get_no_gradient_and_norms_keep_their_statistics():
    backbone = Backbone("resnet10t", output_stride=8, frozen=["conv1", "bn1", "layer1"], frozen_batch_norm=True)
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    norms = [module for module in backbone.modules() if isinstance(module, (torch.nn.BatchNorm2d, FrozenNorm))]
    of_norms = {id(parameter) for norm in norms for parameter in norm.parameters()}
    backbone.train()(torch.randn(2, 3, 64, 64)).mean().backward()
    for name, parameter in backbone.features.named_parameters():
        frozen = name.startswith(("conv1", "bn1", "layer1")) or id(parameter) in of_norms
        assert (parameter.grad is None) == frozen
    for name, buffer in backbone.named_buffers():
        torch.testing.assert_close(buffer, before[name])


def test_loads_weights_of_the_whole_network(tmp_path):
    whole, cut = Backbone("resnet26"), Backbone("resnet26", stage=3)
    weights = {key: value.contiguous() for key, value in whole.features.state_dict().items()}
    save_file(weights | {"fc.weight": torch.zeros(5)}, tmp_path / "w.safetensors")
    cut.load(str(tmp_path / "w.safetensors"))
    torch.testing.assert_close(cut.features.layer3[0].conv1.weight, whole.features.layer3[0].conv1.weight)


def test_wrong_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        Backbone("resnet10t").load("none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"conv1\.0\.weight is missing"):
        Backbone("resnet10t").load(str(tmp_path / "w.safetensors"))


FAMILIES = {
    "resnet10t": 8, "tf_efficientnet_lite0": 16, "mobilenetv3_small_050": 16, "convnext_atto": 8,
    "regnetx_002": 8, "pvt_v2_b0": None,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_any_family_with_feature_maps(name, tmp_path):
    stride = FAMILIES[name]
    backbone = Backbone(name, output_stride=stride, stage=None if stride else 2)
    stride = stride or 16
    features = backbone(torch.randn(1, 3, 97, 65))
    assert backbone.stride == stride
    assert features.shape[1] == backbone.channels
    assert features.shape[2:] in {(96 // stride, 64 // stride), (96 // stride + 1, 64 // stride + 1)}
    features.mean().backward()
    whole = timm.create_model(name).state_dict()
    save_file({key: value.contiguous() for key, value in whole.items()}, tmp_path / "w.safetensors")
    backbone.load(str(tmp_path / "w.safetensors"))
    for tensor in backbone.features.state_dict().values():
        assert any(torch.equal(tensor, value) for value in whole.values())


KINDS = {
    "Backbone": Backbone, "SkipBackbone": SkipBackbone, "EdgeBackbone": EdgeBackbone, "Pyramid": Pyramid,
    "SegNet": lambda name: SegNet(3, name),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["hf-hub:stranger/model", "vgg11_bn@hf-hub:stranger/model", "vgg/../x", "nosuch_net"])
def test_a_name_that_is_not_timm_s_is_one_clear_line_and_loads_nothing(kind, name, monkeypatch):
    monkeypatch.setattr("timm.models._factory.load_model_config_from_hf", lambda *_, **__: pytest.fail("downloads"))
    with pytest.raises(ValueError, match=r"expected (the|a) name|timm cannot build|expected a VGG"):
        KINDS[kind](name)


@pytest.mark.parametrize(
    ("kind", "strides", "expected"), [(EdgeBackbone, [8, 16], 3), (EdgeBackbone, [], 3), (SkipBackbone, [4, 8, 16], 2)]
)
def test_another_number_of_strides_is_refused(kind, strides, expected):
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected {expected} strides"):
        kind("resnet10t", strides)


@pytest.mark.parametrize(
    "build", [lambda: Backbone("vgg11", 8, stage=3), lambda: Pyramid("vgg11", [4, 8])], ids=["Backbone", "Pyramid"]
)
def test_a_vgg_ends_after_its_last_map(build):
    """Training on several processes expects a gradient for every parameter."""
    network = build()
    maps = network.maps(torch.randn(1, 3, 33, 33))
    maps[-1].sum().backward()
    assert maps[-1].shape == (1, 256, 5, 5)
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("stage", [0, 6, -1])
def test_stages_that_a_vgg_lacks_are_refused(stage):
    with pytest.raises(ValueError, match="vgg11 has stages 1 to 5"):
        Backbone("vgg11", stage=stage)


@pytest.mark.parametrize("name", ["vgg11", "resnet10t"])
@pytest.mark.parametrize("strides", [[], [8, 12], [16, 8], [8, 64]])
def test_strides_that_a_network_lacks_are_refused(name, strides):
    with pytest.raises(ValueError, match=rf"pyramid: {name} has maps at strides \[2, 4, 8, 16, 32\], expected"):
        Pyramid(name, strides)


@pytest.mark.parametrize("kind", [Backbone, Pyramid])
def test_a_vgg_has_no_variant_of_a_resnet(kind):
    with pytest.raises(ValueError, match="resnet='v1' needs a ResNet"):
        kind("vgg11", resnet="v1")


def test_what_cannot_be_dilated_says_so():
    with pytest.raises(ValueError, match="set output_stride to null"):
        Backbone("pvt_v2_b0", output_stride=8)
    with pytest.raises(ValueError, match="bottleneck"):
        Backbone("resnet10t", resnet="v1")


def test_a_skip_lies_on_the_finer_map_and_reads_both(tmp_path):
    torch.manual_seed(0)
    backbone = SkipBackbone("resnet26", width=16, frozen_batch_norm=True).eval()
    images = torch.randn(1, 3, 65, 97)
    fine, deep = backbone.maps(images)
    assert (fine.shape[1:], deep.shape[1:]) == ((512, 9, 13), (1024, 5, 7))
    expected = backbone.fine(fine) + interpolate(backbone.deep(deep), (9, 13), mode="bilinear", align_corners=True)
    torch.testing.assert_close(backbone(images), backbone.smooth(expected.relu()).relu())
    assert backbone.channels == 16
    assert sum(p.numel() for p in backbone.new_parameters()) == 16 * (512 + 1024 + 16 * 9 + 3)
    whole = Backbone("resnet26")
    weights = {key: value.contiguous() for key, value in whole.features.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    backbone.load(str(tmp_path / "w.safetensors"))
    torch.testing.assert_close(backbone.features.layer3[0].conv1.weight, whole.features.layer3[0].conv1.weight)


def test_edges_lie_beside_the_features_at_the_finest_map():
    torch.manual_seed(0)
    backbone = EdgeBackbone("resnet26", width=16, edge_width=8, frozen_batch_norm=True).eval()
    images = torch.randn(1, 3, 65, 97)
    finest, fine, deep = backbone.maps(images)
    assert finest.shape[1:] == (256, 17, 25)
    features, edges = backbone(images).split([16, 8], dim=1)
    plain = backbone.joined(fine, deep)
    torch.testing.assert_close(features[..., ::2, ::2], plain)  # enlarged, corners aligned
    context = interpolate(backbone.context(plain), (17, 25), mode="bilinear", align_corners=True)
    torch.testing.assert_close(edges, backbone.edges((backbone.finest(finest) + context).relu()).relu())
    assert backbone.channels == 24
    own = 16 * (512 + 1024 + 16 * 9 + 3) + 8 * (256 + 16 + 8 * 9 + 3)
    assert sum(p.numel() for p in backbone.new_parameters()) == own
