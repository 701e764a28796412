from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes.lip import person
from ssnan.labels import LIP, ClassSet, LabelSet, Region
from ssnan.losses import JointLoss, LossOptions, ParsingLoss
from ssnan.models import ParsingOutput

TWO = LabelSet("two", ("out", "in"), ((0, 0, 0), (255, 0, 0)), regions=(Region("in", (1,)),))


def with_joints(label_set, form="none", weight=10.0, **options):
    """The criterion with a joint loss."""
    return ParsingLoss(label_set, LossOptions(JointLoss(form, weight, **options)))


def output(scores, *scales):
    return ParsingOutput(scores, tuple(scales))


def test_cross_entropy_by_hand():
    # -log softmax at the true class: log(1 + e^-2) twice, log 2 once, one pixel ignored; per image mean.
    scores = torch.tensor([[[[2.0, 0.0], [0.0, 9.0]], [[0.0, 2.0], [0.0, 0.0]]]])
    labels = torch.tensor([[[0, 1], [0, 255]]])
    losses = ParsingLoss(TWO)(output(scores), labels)
    expected = (2 * np.log1p(np.exp(-2)) + np.log(2)) / 3
    assert losses["loss"].item() == pytest.approx(expected, abs=1e-6)
    assert losses["fused/parsing"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("form", ["weighted", "product"])
@pytest.mark.parametrize("measure", ["distance", "heatmap"])
def test_the_mean_of_a_batch_without_joints_divides_by_nothing(form, measure):
    label_set = replace(LIP, sets=(ClassSet(100, (14, 15)),))  # an arm of either side
    scores = torch.randn(2, 20, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    criterion = with_joints(label_set, form, measure=measure, unit="mean")
    losses = criterion(output(scores), torch.full((2, 9, 9), 100), gradients=True)
    losses["loss"].backward()
    assert losses["fused/joint"] == losses["fused/joint_gradient"] == 0
    assert scores.grad.isfinite().all()


def test_equation_4_against_numpy():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 2, 4, 5, generator=generator)
    labels = torch.randint(0, 2, (1, 4, 5), generator=generator)
    p = np.exp(scores[0].numpy().astype(float))
    p /= p.sum(axis=0)
    truth = labels[0].numpy()
    parsing = -np.mean([np.log(p[truth[y, x], y, x]) for y in range(4) for x in range(5)])
    grid = np.stack(np.meshgrid(np.arange(4) / 3, np.arange(5) / 4, indexing="ij"))
    centre = (grid * p[1]).sum(axis=(1, 2)) / p[1].sum()
    joint = ((centre - (grid * truth).sum(axis=(1, 2)) / truth.sum()) ** 2).sum() / 2

    def total(form):
        return with_joints(TWO, form, 7.0)(output(scores), labels)["loss"].item()

    assert total("product") == pytest.approx(parsing * joint, rel=1e-4)
    assert total("weighted") == pytest.approx(parsing * (1 + 7 * joint), rel=1e-4)


def gradients(form, detach=False):
    scores = torch.randn(1, 20, 24, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    labels = torch.from_numpy(person()[1]).long()[None, ::4, ::4]
    losses = with_joints(LIP, form, detach_centers=detach)(output(scores), labels)
    return torch.autograd.grad(losses["loss"], scores)[0], losses


def test_detached_product_only_scales_the_cross_entropy():
    plain, _ = gradients("none")
    detached, losses = gradients("product", detach=True)
    torch.testing.assert_close(detached, plain * losses["fused/joint"])
    through, _ = gradients("product")
    assert (through - detached).abs().max() > 1e-6


def test_weighted_form_still_learns_when_joints_are_perfect():
    # Nothing is decided yet, but the centre of everything is where the one true pixel is.
    labels = torch.zeros(1, 3, 3, dtype=torch.long)
    labels[0, 1, 1] = 1
    for form, learns in (("product", False), ("weighted", True)):
        scores = torch.zeros(1, 2, 3, 3, requires_grad=True)
        losses = with_joints(TWO, form)(output(scores), labels)
        assert losses["fused/joint"] < 1e-9
        [gradient] = torch.autograd.grad(losses["loss"], scores)
        assert (gradient.abs().max() > 1e-3) == learns


def test_deep_supervision_adds_every_scale():
    scores = [torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    losses = ParsingLoss(TWO)(output(*scores), labels)
    alone = [ParsingLoss(TWO)(output(scale), labels)["loss"] for scale in scores]
    torch.testing.assert_close(losses["loss"], sum(alone))
    torch.testing.assert_close(losses["scale1/parsing"], alone[2])
    assert ParsingLoss(TWO, LossOptions(deep_supervision=False))(output(*scores), labels)["loss"] == alone[0]


@pytest.mark.parametrize("stride", [1, 2])
def test_scores_lie_on_the_pixels_of_their_labels(stride):
    """Score i of a map with stride 4 is on pixel 4 i, and scores that rise steadily do so between them too."""
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(13.0), indexing="ij")
    rising = torch.stack([y, x, y - x])[None] / 4
    labels = torch.randint(0, 3, (1, 9, 13), generator=torch.Generator().manual_seed(0))
    label_set, options = replace(THREE, flip_pairs=((1, 2),)), LossOptions(iou_weight=1.0, side_weight=1.0)
    coarse = ParsingLoss(label_set, replace(options, stride=stride))(output(rising[:, :, ::4, ::4]), labels)
    at_pixels = output(rising[:, :, ::stride, ::stride])
    exact = ParsingLoss(label_set, options)(at_pixels, labels[:, ::stride, ::stride])
    torch.testing.assert_close(coarse, exact)


def test_stride_samples_the_labels():
    labels = torch.zeros(1, 7, 7, dtype=torch.long)
    labels[:, ::2, ::2] = 1
    scores = torch.zeros(1, 2, 4, 4)
    scores[:, 1] = 30
    assert ParsingLoss(TWO, LossOptions(stride=2))(output(scores), labels)["loss"] < 1e-6


@pytest.mark.parametrize("size", [(7, 9), (9, 7)])
def test_a_stride_that_leaves_out_the_last_pixel_is_refused(size):
    criterion = ParsingLoss(TWO, LossOptions(stride=4))
    with pytest.raises(ValueError, match=r"loss.stride: expected a divisor .* got 4; set data.crop to multiples of 4"):
        criterion(output(torch.zeros(1, 2, 3, 3)), torch.zeros(1, *size, dtype=torch.long))
    criterion(output(torch.zeros(1, 2, 3, 3)), torch.zeros(1, 9, 13, dtype=torch.long))


@pytest.mark.parametrize("stride", [0, -1])
def test_a_stride_below_1_is_refused(stride):
    with pytest.raises(ValueError, match=f"loss.stride: expected 1 or more, got {stride}"):
        LossOptions(stride=stride)


def test_wholly_ignored_photos_are_harmless():
    scores = torch.randn(2, 2, 4, 4).requires_grad_()
    losses = with_joints(TWO, "weighted")(output(scores), torch.full((2, 4, 4), 255))
    losses["loss"].backward()
    assert losses["loss"] == 0
    assert scores.grad.isfinite().all()


def test_class_weights_by_hand():
    # Losses log(1 + e^-2) at a pixel of class 0 and log 2 at one of class 1, which weighs three times as much.
    scores = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])
    labels = torch.tensor([[[0, 1]]])
    losses = ParsingLoss(TWO, class_weights=torch.tensor([1.0, 3.0]))(output(scores), labels)
    assert losses["loss"].item() == pytest.approx((np.log1p(np.exp(-2)) + 3 * np.log(2)) / 4)


def test_equal_class_weights_change_nothing_even_beside_ignored_pixels():
    scores = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 2, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = 255
    plain, weighted = (
        ParsingLoss(TWO, class_weights=weights)(output(scores), labels)["loss"]
        for weights in (None, torch.full((2,), 5.0))
    )
    torch.testing.assert_close(plain, weighted)


def test_heatmaps_may_measure_the_joints():
    scores = torch.randn(1, 2, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.zeros(1, 9, 9, dtype=torch.long)
    labels[:, 2:4, 2:4] = 1
    losses = with_joints(TWO, "product", measure="heatmap")(output(scores), labels)
    assert 0 < losses["fused/joint"] <= 0.4 + 1e-4
    assert losses["fused/joint"] != with_joints(TWO, "product")(output(scores), labels)["fused/joint"]


def of_unit(unit, form="product", **options):
    scores = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(3)).requires_grad_()
    labels = torch.randint(0, 2, (4, 9, 9), generator=torch.Generator().manual_seed(4))
    losses = with_joints(TWO, form, unit=unit, **options)(output(scores), labels)
    return torch.autograd.grad(losses["loss"], scores)[0], losses


def test_units_are_one_loss_times_a_number():
    (own, of_own), (cells, of_cells), (mean, of_mean) = (of_unit(unit) for unit in ("own", "cells", "mean"))
    torch.testing.assert_close(cells, 4 * 4 * own)
    torch.testing.assert_close(of_cells["fused/joint"], 4 * 4 * of_own["fused/joint"])
    torch.testing.assert_close(mean, own / of_own["fused/joint"])
    torch.testing.assert_close(of_mean["fused/joint"], torch.tensor(1.0))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_cell_is_a_cell_in_both_directions(axis):
    """Of a map of 9 × 5 cells, the prediction is one cell off."""
    labels = torch.zeros(1, 9, 5, dtype=torch.long)
    labels[0, 4, 2] = 1
    scores = 200.0 * torch.nn.functional.one_hot(labels.roll(1, dims=1 + axis), 2).movedim(3, 1)
    losses = with_joints(TWO, "product", unit="cells")(output(scores), labels)
    assert losses["fused/joint"].item() == pytest.approx(0.5)


def test_in_units_of_its_mean_the_product_keeps_the_step_of_the_cross_entropy():
    """Only the weights of the photos move, and they average to one; own units shrink the whole step."""
    plain, _ = of_unit("own", "none")
    weighing, _ = of_unit("mean", "product", detach_centers=True)
    shrunk, _ = of_unit("own", "product", detach_centers=True)
    assert 0.5 < weighing.norm() / plain.norm() < 2
    assert shrunk.norm() / plain.norm() < 0.05


def random_batch(seed, scale=1.0):
    """Scores at half the labels' size: gradients are those of the network's own map."""
    scores = scale * torch.randn(3, 20, 12, 8, generator=torch.Generator().manual_seed(seed))
    labels = torch.from_numpy(person()[1]).long()[::4, ::4].expand(3, -1, -1)
    return scores.requires_grad_(), labels


def step_of(criterion, scores, labels):
    losses = criterion(output(scores), labels)
    return torch.autograd.grad(losses["loss"], scores)[0], losses


@pytest.mark.parametrize("centers", ["soft", "decided"])
@pytest.mark.parametrize("measure", ["distance", "heatmap"])
def test_in_units_of_gradients_lambda_is_the_share_of_the_step(centers, measure):
    scores, labels = random_batch(0)
    plain, _ = step_of(ParsingLoss(LIP), scores, labels)
    for share in (0.1, 3.0):
        options = {"measure": measure, "unit": "gradient", "centers": centers}
        weighted, _ = step_of(with_joints(LIP, "weighted", share, **options), scores, labels)
        torch.testing.assert_close((weighted - plain).norm(), share * plain.norm())
        product, _ = step_of(with_joints(LIP, "product", **options), scores, labels)
        torch.testing.assert_close(product.norm(), plain.norm())


def test_the_norms_of_gradients_are_running_means():
    """The second step's factor, by hand, from the gradients of both steps."""
    criterion = with_joints(LIP, "product", unit="gradient")
    batches = [random_batch(0), random_batch(1, scale=3.0)]
    squares = {"none": 0.0, "product": 0.0}
    for scores, labels in batches:
        gradient, _ = step_of(criterion, scores, labels)
        for form in squares:
            squares[form] += step_of(with_joints(LIP, form), scores, labels)[0].square().sum()
    own, _ = step_of(with_joints(LIP, "product"), *batches[1])
    expected = own * (squares["none"] / squares["product"]).sqrt()
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-9)
    assert set(criterion.running) == {"fused"}
    # Those gradients are of means over three photos, and the running means are over photos and two steps.
    expected = [2.0, 3 * squares["none"] / 2, 3 * squares["product"] / 2]
    torch.testing.assert_close(criterion.running["fused"], torch.tensor(expected), rtol=1e-4, atol=0)


def test_scores_of_a_network_that_keeps_its_weights_have_no_gradient():
    scores, labels = random_batch(0)
    losses = with_joints(LIP, "weighted", unit="gradient")(output(scores.detach()), labels, gradients=True)
    assert losses["loss"] == losses["fused/parsing"] > 0 == losses["fused/parsing_gradient"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_in_16_bits_cost_what_they_cost_in_32(dtype):
    scores = random_batch(0)[0].detach().to(dtype)
    labels = torch.from_numpy(person()[1]).long().expand(3, -1, -1)
    found = []
    for given in (scores, scores.float()):
        criterion = with_joints(LIP, "weighted", 0.3, unit="gradient")
        losses = criterion(output(given.requires_grad_()), labels, gradients=True)
        found.append(losses | criterion.running)
    torch.testing.assert_close(*found)


def test_running_norms_forget():
    criterion = with_joints(LIP, "weighted", unit="gradient")
    criterion.running["fused"] = torch.tensor([500.0, 0.0, 1.0])
    criterion(output(random_batch(0)[0]), random_batch(0)[1])
    steps, _, joint = criterion.running["fused"].tolist()
    assert (steps, joint) == (501, pytest.approx(0.99, abs=0.01))
    assert joint > 0.99 - 1e-6


def test_a_batch_without_joints_has_no_joint_step():
    criterion = with_joints(LIP, "weighted", unit="gradient")
    scores, labels = random_batch(0)
    plain, _ = step_of(ParsingLoss(LIP), scores, labels * 0)
    torch.testing.assert_close(step_of(criterion, scores, labels * 0)[0], plain)


def test_every_term_tells_how_long_its_gradient_is():
    scores, labels = random_batch(0)
    finer, _ = random_batch(1)
    options = LossOptions(JointLoss("weighted", 5.0), side_weight=0.5, iou_weight=2.0)
    losses = ParsingLoss(LIP, options)(output(scores, finer), labels, gradients=True)
    terms = {
        "fused/parsing": None,
        "fused/joint": LossOptions(JointLoss("weighted", 5.0)),
        "fused/sides": LossOptions(side_weight=0.5),
        "fused/iou": LossOptions(iou_weight=2.0),
    }
    plain, _ = step_of(ParsingLoss(LIP), scores, labels)
    for name, alone in terms.items():
        gradient, _ = step_of(ParsingLoss(LIP, alone or LossOptions()), scores, labels)
        expected = gradient - plain if alone else plain
        torch.testing.assert_close(losses[f"{name}_gradient"], expected.norm(), rtol=1e-3, atol=1e-7)
    of_scale, _ = step_of(ParsingLoss(LIP), finer, labels)
    torch.testing.assert_close(losses["scale0/parsing_gradient"], of_scale.norm())
    assert not any(name.endswith("gradient") for name in ParsingLoss(LIP)(output(scores), labels))


def test_eq_4_may_divide_by_the_joints_that_are_defined():
    """Of nine joints the photo shows a head alone."""
    scores = random_batch(0)[0][:1]
    labels = torch.zeros(1, 24, 16, dtype=torch.long)
    labels[:, 3:6, 4:9] = 13
    present, defined = (
        with_joints(LIP, "product", count=count)(output(scores), labels)["fused/joint"]
        for count in ("present", "defined")
    )
    torch.testing.assert_close(defined, present / 9)


def test_a_softmax_on_probabilities_hides_soft_joints():
    """The scores of a perfect parse to the letter are probabilities; only its decided joints are at their places."""
    labels = torch.from_numpy(person()[1]).long()[None]
    perfect = torch.nn.functional.one_hot(labels, 20).movedim(3, 1).float()
    soft, decided = (
        with_joints(LIP, "product", unit="cells", centers=centers)(output(perfect), labels)["fused/joint"]
        for centers in ("soft", "decided")
    )
    assert decided < 1e-3 < 10 < soft


def test_heatmaps_have_their_own_cells():
    with pytest.raises(ValueError, match="already in cells"):
        JointLoss("product", measure="heatmap", unit="cells")


THREE = LabelSet("three", ("out", "left", "right"), ((0, 0, 0),) * 3, sets=(ClassSet(100, (1, 2)),))


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 4.0]])
def test_a_set_costs_what_its_members_lack_together(weights):
    """−log Σ p over the set, against numpy."""
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(1, 3, 4, 5, generator=generator)
    labels = torch.tensor([0, 1, 2, 100, 255])[torch.randint(0, 5, (1, 4, 5), generator=generator)]
    p = np.exp(scores[0].numpy().astype(float))
    p /= p.sum(axis=0)
    members = {0: [0], 1: [1], 2: [2], 100: [1, 2]}
    cost, total = 0.0, 0.0
    for y in range(4):
        for x in range(5):
            value = int(labels[0, y, x])
            if value != 255:
                weight = 1.0 if weights is None else np.mean([weights[c] for c in members[value]])
                cost -= weight * np.log(sum(p[c, y, x] for c in members[value]))
                total += weight
    given = None if weights is None else torch.tensor(weights)
    loss = ParsingLoss(THREE, class_weights=given)(output(scores), labels)["loss"]
    assert loss.item() == pytest.approx(cost / total, rel=1e-5)


def test_a_set_neither_pulls_nor_pushes_inside():
    scores = torch.tensor([0.3, 1.0, -2.0]).reshape(1, 3, 1, 1).requires_grad_(True)
    ParsingLoss(THREE)(output(scores), torch.tensor([[[100]]]))["loss"].backward()
    gradient = scores.grad[0, :, 0, 0]
    p = scores.detach()[0, :, 0, 0].softmax(dim=0)
    # Both members rise in proportion to their share, so that p1 : p2 keeps its logit difference's pull at zero:
    # d(loss)/d(s_c) = p_c − p_c / (p_1 + p_2) for members, p_c for the others.
    expected = p.clone()
    expected[1:] -= p[1:] / p[1:].sum()
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(gradient[1] / p[1], gradient[2] / p[2])
    assert gradient[1:].max() < 0 < gradient[0]


def test_a_set_of_all_classes_is_no_supervision():
    every = LabelSet("all", ("a", "b"), ((0, 0, 0),) * 2, sets=(ClassSet(100, (0, 1)),))
    scores = torch.randn(1, 2, 2, 2, requires_grad=True)
    loss = ParsingLoss(every)(output(scores), torch.full((1, 2, 2), 100))["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_labels_of_any_integer_type(dtype):
    scores = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[[0, 1, 0, 1, 255]] * 4])
    criterion = with_joints(TWO, "weighted")
    expected = criterion(output(scores), labels)["loss"]
    torch.testing.assert_close(criterion(output(scores), labels.to(dtype))["loss"], expected)


def test_a_joint_loss_needs_joints():
    without = LabelSet("own", TWO.classes, TWO.palette)
    ParsingLoss(without)
    with pytest.raises(ValueError, match=r"'own' has no joints; expected at least one in dataset.yaml"):
        with_joints(without, "weighted")


@pytest.mark.parametrize("name", ["iou_weight", "side_weight", "class_balancing"])
def test_a_weight_below_zero_would_reward_errors(name):
    with pytest.raises(ValueError, match=rf"loss\.{name}: expected a number of at least 0, got -1"):
        LossOptions(**{name: -1.0})
    with pytest.raises(ValueError, match=r"loss\.joint\.weight: expected a number of at least 0, got -1"):
        JointLoss(weight=-1.0)
