import torch

from experiments.bundled.both_scales import joined
from ssnan.models import NeuralAggregation, SSNANWithContext
from ssnan.models.backbone import EdgeBackbone
from ssnan.models.initial_weights import take_over


def network(scales):
    backbone = EdgeBackbone("resnet10t", width=8, edge_width=4)
    aggregation = NeuralAggregation(20, len(scales), hidden=4)
    return SSNANWithContext(20, backbone, scales, aggregation, context_width=8).eval()


def test_everything_but_the_aggregation_comes_from_the_smaller_scale():
    torch.manual_seed(0)
    half, earlier, both = network((1.0,)), network((0.5, 1.0)), network((0.5, 1.0))
    state = {
        key.removeprefix("network."): value for key, value in joined(half.state_dict(), earlier.state_dict()).items()
    }
    assert take_over(both, state) == []
    for name, value in both.state_dict().items():
        source = earlier if name.startswith("aggregation.") else half
        assert value.equal(source.state_dict()[name]), name
