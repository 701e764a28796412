import pytest
import torch
from torch import nn

from ssnan.models import HAZN, SSNAN, Backbone, SegNet
from ssnan.models.initial_weights import grow_resnet, take_over


def noisy(backbone):
    """Batch norms that do something, so that a mixed-up one is seen."""
    generator = torch.Generator().manual_seed(0)
    for name, value in backbone.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=generator) * 0.5)
            value.add_(-0.25 if "mean" in name or "bias" in name else 0.7)
    return backbone


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("variant", ["v1.5", "v1"])
def test_growth_changes_no_output_and_the_new_blocks_learn(frozen, variant, tmp_path):
    torch.manual_seed(0)
    shallow = noisy(Backbone("resnet50", resnet=variant, frozen_batch_norm=frozen)).eval()
    torch.save(shallow.features.state_dict(), tmp_path / "r50.pth")
    deep = Backbone("resnet101", resnet=variant, frozen_batch_norm=frozen).eval()
    deep.load(str(tmp_path / "r50.pth"))
    images = torch.randn(1, 3, 65, 65)
    torch.testing.assert_close(deep(images), shallow(images), atol=1e-6, rtol=1e-6)
    assert len(deep.features.layer3) == 23

    deep.train()(torch.randn(2, 3, 65, 65)).square().mean().backward()
    end = deep.features.layer3[22]
    learns = end.conv3.weight if frozen else end.bn3.weight
    assert learns.grad.abs().max() > 0


def test_growth_makes_up_nothing_else():
    state = {"layer1.0.conv1.weight": torch.ones(1), "layer1.0.bn2.weight": torch.ones(1)}
    wanted = {
        "layer1.1.conv1.weight": torch.ones(1),
        "layer2.0.conv1.weight": torch.ones(1),
        "fc.weight": torch.ones(1),
    }
    assert set(grow_resnet(state, wanted, "norm")) == {*state, "layer1.1.conv1.weight"}


class PSPBottleneck(nn.Module):
    def __init__(self, inside, planes, stride, rate):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, rate, rate, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if stride > 1 or inside != 4 * planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes)
            )

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn3(self.conv3(self.bn2(self.conv2(y)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class PSPResNet50(nn.Module):
    """An independent twin of PSPNet's dilated ResNet-50 with its key names."""

    def __init__(self):
        super().__init__()
        widths = [(3, 64, 2), (64, 64, 1), (64, 128, 1)]
        stem = [m for i, o, s in widths for m in (nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())]
        self.layer0 = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1))
        inside = 128
        stages = [(64, 3, 1, 1), (128, 4, 2, 1), (256, 6, 1, 2), (512, 3, 1, 4)]
        for number, (planes, count, stride, rate) in enumerate(stages, start=1):
            blocks = []
            for i in range(count):
                blocks.append(PSPBottleneck(inside, planes, stride if i == 0 else 1, rate))
                inside = 4 * planes
            setattr(self, f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x):
        return self.layer4(self.layer3(self.layer2(self.layer1(self.layer0(x)))))


def test_pspnet_checkpoint_against_an_independent_network(tmp_path):
    torch.manual_seed(0)
    twin = noisy(PSPResNet50()).eval()
    state = {f"module.{key}": value for key, value in twin.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state | {"module.cls.4.bias": torch.zeros(5)}}, tmp_path / "psp.pth")
    backbone = Backbone("resnet50", resnet="pspnet").eval()
    backbone.load(str(tmp_path / "psp.pth"))
    images = torch.randn(1, 3, 97, 65)
    torch.testing.assert_close(backbone(images), twin(images), atol=1e-5, rtol=1e-5)

    imagenet = {key.replace("layer0.0", "conv1").replace("layer0.1", "bn1").replace("layer0.3", "conv2")
                .replace("layer0.4", "bn2").replace("layer0.6", "conv3").replace("layer0.7", "bn3"): value
                for key, value in twin.state_dict().items()}  # fmt: skip
    torch.save(imagenet, tmp_path / "imagenet.pth")
    again = Backbone("resnet50", resnet="pspnet").eval()
    again.load(str(tmp_path / "imagenet.pth"))
    torch.testing.assert_close(again(images), twin(images), atol=1e-5, rtol=1e-5)


def test_damaged_weights_are_named(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"w\.pth.*cannot be read"):
        Backbone("resnet10t").load(str(tmp_path / "w.pth"))


def test_tensors_that_find_no_place_are_named(caplog):
    def network(**parts):
        return nn.ModuleDict({"backbone": nn.ModuleDict({"features": nn.Linear(2, 2)}), **parts})

    small, large = network(classifier=nn.Linear(2, 3)), network(classifier=nn.Linear(2, 4), context=nn.Linear(2, 2))
    assert take_over(small, large.state_dict()) == ["classifier"]
    assert caplog.messages == [
        "start_from: 4 of 6 tensors left out, because the network has none of their name and shape: classifier, context"
    ]
    caplog.clear()
    assert take_over(large, large.state_dict()) == []
    assert not caplog.messages


SYSTEMS = {
    "SegNet": lambda: SegNet(20, "vgg11_bn"),
    "HAZN": lambda: HAZN(20, Backbone("resnet10t", output_stride=8, stage=2), hidden=8),
    "SSNAN": lambda: SSNAN(20, Backbone("resnet10t", output_stride=8, stage=2)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_goes_on_from_its_own_weights(name, caplog):
    state, network = SYSTEMS[name]().state_dict(), SYSTEMS[name]()
    assert take_over(network, state) == []
    assert not caplog.messages
    for key, value in network.state_dict().items():
        assert value.equal(state[key]), key


class WithBackbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.classifier = nn.Linear(2, 2), nn.Linear(2, 3)


@pytest.mark.parametrize("network", [nn.Linear(2, 2), WithBackbone()], ids=["other names", "the classifier alone"])
def test_weights_of_which_nothing_or_no_backbone_fits_are_refused(network):
    with pytest.raises(ValueError, match="another backbone"):
        take_over(network, {"backbone.weight": torch.ones(3), "classifier.bias": torch.ones(3)})
