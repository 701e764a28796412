from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.structure_trial.arms import (
    ARMS,
    OTHER,
    SHARES,
    OtherPhoto,
    View,
    exchanged,
    rows_and_columns,
    sides_from_keypoints,
)
from fakes.lip import person
from ssnan.labels import LIP
from ssnan.losses import LossOptions, ParsingLoss
from ssnan.losses.joints import Centers, label_centers
from ssnan.models import ParsingOutput

OPTIONS = LossOptions(iou_weight=0.5, stride=2)
SHARED = [name for name, arm in ARMS.items() if arm.shared]


def people(*shifts):
    return torch.stack([torch.from_numpy(person(97, 65, shift)[1]).long() for shift in shifts])


def scores_for(labels, seed=0, right=1.0):
    """Random scores of a fused map at stride 4, a little in favour of the labels."""
    noise = torch.randn(
        len(labels), 20, *(side // 4 + 1 for side in labels.shape[1:]), generator=torch.Generator().manual_seed(seed)
    )
    small = labels[:, ::4, ::4]
    return noise + right * torch.nn.functional.one_hot(small, 20).movedim(3, 1)


def gradient(loss, scores, batch):
    own = scores.clone().requires_grad_()
    return torch.autograd.grad(loss(ParsingOutput(own * 1), batch), own)[0]


@pytest.mark.parametrize("name", SHARED)
def test_an_arm_adds_its_share_of_the_gradient_of_the_cross_entropy(name):
    labels = people(0, 3, 6, 9)
    batch = {"labels": labels, "limbs": labels}
    for seed, share in enumerate(SHARES):
        scores = scores_for(labels, seed, right=seed)
        whole, without = (gradient(ARMS[arm].loss(LIP, OPTIONS, share), scores, batch) for arm in (name, "none"))
        parsing = gradient(ARMS["none"].loss(LIP, replace(OPTIONS, iou_weight=0.0), share), scores, batch)
        assert (whole - without).norm().item() == pytest.approx(share * parsing.norm().item(), rel=1e-3)


@pytest.mark.parametrize("name", ["product (Eq. 4)", "product, another photo"])
def test_the_product_takes_the_place_of_the_cross_entropy_with_its_step(name):
    labels = people(0, 3, 6, 9)
    scores, batch, bare = scores_for(labels), {"labels": labels}, LossOptions(stride=2)
    own, parsing = (gradient(ARMS[arm].loss(LIP, bare, 0.3), scores, batch) for arm in (name, "none"))
    assert own.norm().item() == pytest.approx(parsing.norm().item(), rel=1e-3)
    assert torch.nn.functional.cosine_similarity(own.flatten(), parsing.flatten(), dim=0) < 0.999


def test_the_same_step_points_where_the_cross_entropy_points():
    labels = people(0, 3)
    scores, batch, bare = scores_for(labels), {"labels": labels}, LossOptions(stride=2)
    own, parsing = (gradient(ARMS[arm].loss(LIP, bare, 0.3), scores, batch) for arm in ("same step", "none"))
    torch.testing.assert_close(own, 1.3 * parsing)


def test_every_photo_gets_the_joints_of_another():
    labels = people(0, 5, 9)
    truth, _ = label_centers(labels, LIP)
    given = exchanged(truth)
    assert torch.equal(given.present, truth.present)  # all show the same parts
    for own in range(3):
        # the next photo of the batch, which shares as many joints as any
        assert torch.equal(given.position[own], truth.position[(own + 1) % 3])
        moved = (given.position[own] - truth.position[own]).abs().amax(dim=1)
        assert (moved[truth.present[own]] > 0.05).all()


def test_the_partner_shares_most_joints_and_no_photo_is_asked_for_more_parts():
    position = torch.arange(4.0)[:, None, None].expand(4, 3, 2) / 10
    mass = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]]) / 100
    given = exchanged(Centers(position, mass))
    assert given.position[:, 0, 0].tolist() == pytest.approx([0.2, 0.2, 0.0, 0.2])
    assert given.present.tolist() == [[True, True, False], [False] * 3, [True, True, False], [False, False, True]]


def test_the_control_rewards_the_joints_of_the_other_photo():
    labels = people(0, 6)
    right, swapped = (
        100.0 * torch.nn.functional.one_hot(ids, 20).movedim(3, 1).float() for ids in (labels, labels.roll(1, 0))
    )
    options = LossOptions(joint=ARMS[OTHER].joint)
    costs = {}
    for criterion in (ParsingLoss, OtherPhoto):
        loss = criterion(LIP, options)
        costs[criterion] = [loss(ParsingOutput(scores), labels)["fused/joint"].item() for scores in (right, swapped)]
    assert costs[ParsingLoss][0] < 1e-6 < costs[ParsingLoss][1]
    assert costs[OtherPhoto][1] < 1e-6 < costs[OtherPhoto][0]


def view(labels, scores, limbs=None):
    return View(scores, labels, limbs, torch.ones(len(labels)), LIP)


def test_rows_and_columns_by_hand():
    labels = torch.zeros(1, 4, 2, dtype=torch.long)
    labels[0, 1] = 5
    right = 100.0 * torch.nn.functional.one_hot(labels, 20).movedim(3, 1).float()
    assert rows_and_columns(view(labels, right)).item() == pytest.approx(0, abs=1e-6)
    # One row lower: two of four rows are wrong by all of the fullest row, no column is.
    lower = right.roll(1, dims=2)
    assert rows_and_columns(view(labels, lower)).item() == pytest.approx(2 / (19 * 4))
    # Pixels that nobody knows do not count.
    unknown = labels.clone()
    unknown[0, 2] = 255
    assert rows_and_columns(view(unknown, lower)).item() == pytest.approx(1 / (19 * 4) + 2 / (19 * 2))


def test_keypoints_ask_for_the_side_of_a_limb_under_clothes():
    sleeve, coat = LIP.classes.index("left-arm"), LIP.classes.index("coat")
    labels, limbs = torch.full((1, 4, 4), coat), torch.full((1, 4, 4), 255)
    limbs[0, 0] = sleeve
    scores = torch.zeros(1, 20, 4, 4, requires_grad=True)
    loss = sides_from_keypoints(view(labels, scores, limbs))
    assert loss.item() == pytest.approx(np.log(2))
    loss.sum().backward()
    assert (scores.grad[0, sleeve, 0] < 0).all()
    assert (scores.grad[0, LIP.classes.index("right-arm"), 0] > 0).all()
    assert scores.grad[0, :, 1:].abs().sum() == 0


def test_shoes_have_the_side_of_their_leg():
    shoe, leg = LIP.classes.index("right-shoe"), LIP.classes.index("right-leg")
    labels = torch.full((1, 2, 2), shoe)
    scores = torch.zeros(1, 20, 2, 2)
    scores[:, shoe] = 50
    assert sides_from_keypoints(view(labels, scores, torch.full((1, 2, 2), leg))).item() == pytest.approx(0, abs=1e-6)
    assert sides_from_keypoints(view(labels, scores)).item() == 0  # no source has keypoints
