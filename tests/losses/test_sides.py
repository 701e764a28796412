import numpy as np
import pytest
import torch

from fakes.lip import person
from ssnan.labels import LIP
from ssnan.losses import LossOptions, ParsingLoss, side_loss
from ssnan.models import ParsingOutput

PAIRS = ((1, 2),)


def test_by_hand():
    """A left limb of two pixels with log-odds 3 and 1, a right one of a pixel with 1 for the left, and a photo
    without any: −log σ(2) and −log σ(−1), averaged over the two limbs."""
    scores = torch.zeros(2, 3, 1, 4)
    scores[0, 1, 0] = torch.tensor([3.0, 1.0, 1.0, 9.0])
    labels = torch.tensor([[[1, 1, 2, 0]], [[0, 0, 255, 100]]])
    expected = (np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2
    assert side_loss(scores, labels, PAIRS).item() == pytest.approx(expected, rel=1e-6)


def test_a_limb_is_pulled_as_a_whole_and_only_between_its_sides():
    scores = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, :2] = 1
    [gradient] = torch.autograd.grad(side_loss(scores, labels, PAIRS), scores)
    assert (gradient[0, 0] == 0).all()
    assert (gradient[0, :, 2:] == 0).all()
    assert gradient[0, 1, :2].unique().numel() == 1
    torch.testing.assert_close(gradient[0, 1], -gradient[0, 2])


def test_exchanged_limbs_cost_more_than_right_ones():
    labels = torch.from_numpy(person()[1]).long()[None]
    right = 6 * torch.nn.functional.one_hot(labels, 20).movedim(3, 1).float()
    exchanged = right.clone()
    for left, other in LIP.flip_pairs:
        exchanged[:, [left, other]] = right[:, [other, left]]
    assert side_loss(right, labels, LIP.flip_pairs) < 0.01
    assert side_loss(exchanged, labels, LIP.flip_pairs) > 5


@pytest.mark.parametrize("pairs", [PAIRS, ()])
def test_no_limb_costs_nothing(pairs):
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = side_loss(scores, torch.zeros(1, 2, 2, dtype=torch.long), pairs)
    loss.backward()
    assert loss == 0
    assert (scores.grad == 0).all()


def test_it_is_added_to_the_criterion():
    scores = torch.randn(1, 20, 12, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.from_numpy(person()[1]).long()[None, ::8, ::8]
    output = ParsingOutput(scores, ())
    plain, with_sides = (ParsingLoss(LIP, LossOptions(side_weight=weight))(output, labels) for weight in (0.0, 0.5))
    torch.testing.assert_close(with_sides["loss"], plain["loss"] + 0.5 * with_sides["fused/sides"])
    torch.testing.assert_close(with_sides["fused/sides"], side_loss(scores, labels, LIP.flip_pairs))
