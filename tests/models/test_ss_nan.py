import pytest
import torch

from ssnan.models import SSNAN, Backbone, MaximumAggregation, NeuralAggregation, SharedNeuralAggregation
from ssnan.models.pyramid import resize_to_finest, resized


def small(scales=(0.5, 0.75, 1.0), aggregation=None, aggregated="scores"):
    torch.manual_seed(0)
    aggregation = aggregation or NeuralAggregation(5, len(scales), hidden=8)
    return SSNAN(5, Backbone("resnet10t", output_stride=8), scales, aggregation, aggregated)


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (40, 120)])
def test_shapes_also_of_odd_sizes(size):
    output = small().eval()(torch.randn(2, 3, *size))
    height, width = (-(-side // 8) for side in size)
    assert output.scores.shape == (2, 5, height, width)
    assert [scores.shape for scores in output.scale_scores] == [output.scores.shape] * 3
    assert output.scale_weights.shape == (2, 3, height, width)


def test_order_of_the_scales_is_of_no_consequence():
    images = torch.randn(1, 3, 64, 64)
    first, second = small((0.5, 0.75, 1.0)).eval(), small((1.0, 0.5, 0.75)).eval()
    torch.testing.assert_close(first(images).scores, second(images).scores)


class Sampler(Backbone):
    """Every eighth pixel: a backbone whose features show where they come from."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.channels = 3

    def forward(self, images):
        return images[:, :, ::8, ::8]


@pytest.mark.parametrize("size", [(129, 97), (321, 225)])
def test_every_scale_s_features_lie_where_the_finest_s_do(size):
    network = SSNAN(2, Sampler())
    torch.nn.init.zeros_(network.classifier.weight)
    network.classifier.weight.data[0, 0, 1, 1] = network.classifier.weight.data[1, 1, 1, 1] = 1
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float) for side in size), indexing="ij")
    output = network(torch.stack([y, x, y])[None])
    where = torch.stack([y, x])[None, :, ::8, ::8]
    for scores in (*output.scale_scores, output.scores):
        torch.testing.assert_close(scores, where, atol=1e-3, rtol=0)


MODES = {
    "scores": lambda: small(),
    "probabilities": lambda: small(aggregated="probabilities"),
    "features": lambda: small(aggregation=NeuralAggregation(512, 3, hidden=8), aggregated="features"),
    "shared": lambda: small(aggregation=SharedNeuralAggregation(5, hidden=8)),
    "maximum": lambda: small(aggregation=MaximumAggregation()),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_parameter_gets_a_finite_gradient(mode):
    network = MODES[mode]()
    network(torch.randn(2, 3, 64, 64)).scores.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_photos_of_a_batch_do_not_meet():
    network, images = small().eval(), torch.randn(3, 3, 48, 48)
    torch.testing.assert_close(network(images).scores[1:2], network(images[1:2]).scores, atol=1e-5, rtol=1e-4)


def test_one_scale_is_the_plain_skip_net():
    network = small((1.0,)).eval()
    output = network(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(output.scores, output.scale_scores[0])


def test_wrong_scales():
    with pytest.raises(ValueError, match="different positive numbers"):
        small((1.0, 1.0))
    with pytest.raises(ValueError, match="built for 2 scales"):
        small(aggregation=NeuralAggregation(5, 2))
    with pytest.raises(ValueError, match="built for 5 channels, but the maps have 512"):
        small(aggregation=NeuralAggregation(5, 3), aggregated="features")


def test_fused_probabilities_are_the_weighted_sum_of_the_scales():
    output = small(aggregated="probabilities").eval()(torch.randn(1, 3, 64, 48))
    expected = sum(output.scale_weights[:, s, None] * output.scale_scores[s].softmax(1) for s in range(3))
    torch.testing.assert_close(output.scores.softmax(1), expected)


def test_the_literal_reading_puts_a_softmax_on_the_fused_probabilities():
    """Section 3.2 resizes the probabilities, not the scores."""
    network, images = small(aggregated="literal").eval(), 20 * torch.randn(1, 3, 64, 48)
    output = network(images)
    own = [network.classifier(network.backbone(resized(images, scale))) for scale in network.scales]
    probabilities = resize_to_finest([scores.softmax(dim=1) for scores in own])
    expected = sum(output.scale_weights[:, s, None] * probabilities[s] for s in range(3))
    torch.testing.assert_close(output.scores, expected)


def test_fused_features_are_classified_once():
    network = MODES["features"]().eval()
    images = torch.randn(1, 3, 64, 64)
    assert network(images).scores.shape == (1, 5, 8, 8)
    network.aggregation = MaximumAggregation()
    of_scales = resize_to_finest([network.classifier(network.backbone(resized(images, s))) for s in network.scales])
    torch.testing.assert_close(network(images).scale_scores, tuple(of_scales))


def test_a_shared_head_trained_with_three_scales_runs_with_any():
    network = MODES["shared"]()
    network(torch.randn(1, 3, 64, 64)).scores.sum().backward()
    for scales in ((0.5, 1.0), (0.5, 0.75, 1.0, 1.25), (1.5, 0.5, 1.25, 1.0, 0.75)):
        network.scales = scales
        output = network.eval()(torch.randn(1, 3, 64, 64))
        side = round(63 * max(scales)) + 1
        assert output.scores.shape[-1] == -(-side // 8)
        assert output.scale_weights.shape[1] == len(scales)
    network.scales = (0.75, 0.5, 1.25, 1.0, 1.5)
    images = torch.randn(1, 3, 64, 64)
    first = network(images).scores
    network.scales = (0.5, 0.75, 1.0, 1.25, 1.5)
    torch.testing.assert_close(network(images).scores, first)
