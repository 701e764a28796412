import math

import pytest
import torch

from models.contract import CLASSES, SystemContract
from ssnan.labels import LIP, LabelSet
from ssnan.models import SSNAN, EdgeBackbone, NeuralAggregation, SSNANWithContext
from ssnan.models.initial_weights import take_over
from ssnan.models.mean_field import MeanField
from ssnan.models.pyramid import resized
from ssnan.models.ss_nan_context import Context


def backbone():
    return EdgeBackbone("resnet26", [4, 8, 16], width=16, edge_width=8)


def network():
    torch.manual_seed(0)
    return SSNANWithContext(CLASSES, backbone(), aggregation=NeuralAggregation(CLASSES, 2, hidden=8), context_width=8)


def test_a_trained_network_keeps_its_scores_when_it_gets_context():
    trained = SSNAN(CLASSES, backbone(), (0.5, 1.0), NeuralAggregation(CLASSES, 2, hidden=8)).eval()
    larger = network().eval()
    assert take_over(larger, trained.state_dict()) == ["context", "limbs"]
    images = torch.randn(1, 3, 97, 65)
    torch.testing.assert_close(larger(images).scores, trained(images).scores)


def test_garments_agree_after_the_scales_are_fused():
    plain, images = network().eval(), torch.randn(1, 3, 97, 65)
    agreeing = network().eval()
    agreeing.agreement = MeanField([[1, 2]])
    torch.testing.assert_close(agreeing(images).scores, agreeing.agreement(plain(images).scores, images))
    torch.testing.assert_close(agreeing(images).scale_scores, plain(images).scale_scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregation": NeuralAggregation(20, 3, hidden=8)}, "built for 3 scales, but the maps have 2"),
        ({"aggregation": NeuralAggregation(7, 2, hidden=8)}, "built for 7 channels, but the maps have 20"),
        ({"agreement": MeanField([[5, 20]])}, r"agreement.groups: expected ids from 0 to 19, got \[20\]"),
    ],
)
def test_parts_for_other_maps_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SSNANWithContext(CLASSES, EdgeBackbone("resnet10t"), **options)


def test_every_score_hears_of_the_whole_photo():
    larger = network().eval()
    torch.nn.init.normal_(larger.context.out.weight)
    images = torch.randn(1, 3, 257, 33)
    changed = images.clone()
    changed[:, :, -1:] += 10
    with torch.no_grad():
        before, after = larger(images), larger(changed)
    assert not torch.allclose(before.scores[0, :, 0], after.scores[0, :, 0], atol=1e-6)


def test_the_context_of_all_scales_is_that_of_the_coarsest():
    larger = network().eval()
    torch.nn.init.normal_(larger.context.out.weight)
    images = torch.randn(1, 3, 97, 65)
    with torch.no_grad():
        _, deepest, features = larger.parsed(images)
        maps = [larger.backbone.maps(resized(images, scale)) for scale in (0.5, 1.0)]
        expected = [larger.backbone.joined(fine, deep, larger.context(maps[0][-1])) for _, fine, deep in maps]
    torch.testing.assert_close(deepest, maps[0][-1])
    torch.testing.assert_close(features, expected)


def test_context_is_near_and_that_of_the_whole_photo():
    """A row hears itself, then the rows that the dilations reach together, then all rows."""
    torch.manual_seed(0)
    context = Context(3, 16, 8, dilations=(1, 3, 2))
    torch.nn.init.normal_(context.out.weight)

    def heard():
        deep = torch.randn(1, 3, 41, 9, requires_grad=True)
        [gradient] = torch.autograd.grad(context(deep)[:, :, 20].square().sum(), deep)
        return gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten().tolist()

    assert heard() == list(range(41))
    for tensor in context.everywhere.parameters():
        torch.nn.init.zeros_(tensor)
    assert heard() == list(range(14, 27))
    for tensor in context.around.parameters():
        torch.nn.init.zeros_(tensor)
    assert heard() == [20]


def test_all_that_is_new_beside_the_backbone_learns_faster():
    larger = network()
    fast = {id(parameter) for parameter in larger.new_parameters()}
    parts = {name.partition(".")[0] for name, parameter in larger.named_parameters() if id(parameter) in fast}
    assert parts == {"classifier", "aggregation", "context", "limbs", "backbone"}
    assert fast < {id(parameter) for parameter in larger.parameters()}


def test_the_limb_head_is_asked_in_training_alone():
    images = torch.randn(1, 3, 65, 65)
    assert "limbs" not in network().eval()(images).extra
    assert [scores.shape for scores in network().train()(images).extra["limbs"]] == [(1, 5, 5, 5), (1, 5, 9, 9)]


def limb_loss(limbs, scores):
    larger = network().train()
    output = larger(torch.randn(1, 3, 65, 65))._replace(extra={"limbs": scores})
    return larger.auxiliary_losses(output, {"labels": limbs, "limbs": limbs}, LIP)["limbs"]


def test_its_loss_by_hand():
    limbs = torch.full((1, 64, 64), 255)
    scores = [torch.zeros(1, 5, 8, 8), torch.zeros(1, 5, 4, 4)]
    assert limb_loss(limbs, scores) == 0  # nobody knows anything
    for known in (0, LIP.classes.index("right-arm")):
        limbs[:] = known
        torch.testing.assert_close(limb_loss(limbs, scores), 0.5 * torch.tensor(5.0).log())
    for scale in scores:
        scale[:, 1 + SSNANWithContext.LIMBS.index("right-arm")] = 100
    assert limb_loss(limbs, scores) < 1e-6
    limbs[:, :40] = 255  # unknown pixels do not count, neither as a cost nor in the mean
    torch.testing.assert_close(limb_loss(limbs, [torch.zeros(1, 5, 8, 8)]), 0.5 * torch.tensor(5.0).log())


def test_context_and_features_learn_from_classes_and_from_limbs():
    larger = network().train()
    torch.nn.init.normal_(larger.context.out.weight)
    for scores_of in (lambda output: output.scores, lambda output: output.extra["limbs"][0]):
        larger.zero_grad()
        scores_of(larger(torch.randn(1, 3, 65, 65))).square().sum().backward()
        for layer in (larger.context.reduce, larger.backbone.fine, larger.backbone.deep, larger.backbone.smooth):
            assert layer.weight.grad.abs().max() > 0


@pytest.mark.parametrize("batch", [{}, {"labels": torch.zeros(1, 65, 65, dtype=torch.long)}])
def test_data_without_keypoints_ask_nothing(batch):
    larger = network().train()
    losses = larger.auxiliary_losses(larger(torch.randn(1, 3, 65, 65)), batch, LIP)
    assert losses == {"limbs": 0}
    losses["limbs"].backward()  # training on several processes expects a gradient of every parameter
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in larger.limbs.parameters())


def test_labels_of_ones_own_have_the_limbs_that_they_name():
    larger = network().train()
    limbs = torch.full((1, 64, 64), 2)
    output = larger(torch.randn(1, 3, 65, 65))._replace(extra={"limbs": [torch.zeros(1, 5, 8, 8)]})
    for classes, loss in ((("background", "helmet", "left-arm"), 0.5 * math.log(5)), (("background", "a", "b"), 0)):
        labels = LabelSet("own", classes, ((0, 0, 0), (1, 1, 1), (2, 2, 2)), (), ())
        found = larger.auxiliary_losses(output, {"limbs": limbs}, labels)
        assert found["limbs"].item() == pytest.approx(loss)


class TestSSNANWithContext(SystemContract):
    stride = 4

    def build(self):
        larger = network()
        torch.nn.init.normal_(larger.context.out.weight, std=0.01)
        larger.agreement = MeanField([[1, 2]])
        return larger
