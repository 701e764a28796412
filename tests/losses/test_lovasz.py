import numpy as np
import pytest
import torch

from ssnan.labels import ClassSet, LabelSet
from ssnan.losses import LossOptions, ParsingLoss
from ssnan.losses.lovasz import lovasz_softmax
from ssnan.models import ParsingOutput

EVERYWHERE = torch.ones(1, 3, 4, dtype=torch.bool)


def jaccard(wrong, foreground):
    """1 − IoU of a class if the pixels of ``wrong`` are wrong."""
    missed = (wrong & foreground).sum()
    return 1 - (foreground.sum() - missed) / (foreground | wrong).sum()


def test_of_decided_pixels_it_is_one_minus_the_mean_iou():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (1, 3, 4), generator=generator)
    predicted = torch.randint(0, 3, (1, 3, 4), generator=generator)
    decided = torch.nn.functional.one_hot(predicted, 4).movedim(3, 1).float()
    iou = [((predicted == c) & (labels == c)).sum() / ((predicted == c) | (labels == c)).sum() for c in labels.unique()]
    assert lovasz_softmax(decided, labels, EVERYWHERE).item() == pytest.approx(1 - np.mean(iou), abs=1e-6)


def test_extension_against_numpy():
    """Σ over the sorted errors m of (m_i − m_i+1) · (1 − IoU of the i worst pixels), the definition."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([[[0, 1, 1, 3], [3, 3, 0, 1], [1, 0, 0, 0]]])
    probabilities = torch.randn(1, 4, 3, 4, generator=generator).softmax(dim=1)
    p, truth, terms = probabilities[0].numpy(), labels[0].numpy(), []
    for c in (0, 1, 3):
        foreground = (truth == c).ravel()
        errors = np.abs(foreground - p[c].ravel())
        order = np.argsort(-errors)
        total = 0.0
        for count in range(1, len(order) + 1):
            wrong = np.zeros(len(order), dtype=bool)
            wrong[order[:count]] = True
            following = errors[order[count]] if count < len(order) else 0.0
            total += (errors[order[count - 1]] - following) * jaccard(wrong, foreground)
        terms.append(total)
    assert lovasz_softmax(probabilities, labels, EVERYWHERE).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_pixels_that_are_not_judged_do_not_matter():
    labels = torch.tensor([[[0, 1, 1, 0]]])
    probabilities = torch.rand(1, 2, 1, 4, generator=torch.Generator().manual_seed(2)).softmax(dim=1).requires_grad_()
    judged = torch.tensor([[[True, True, False, True]]])
    lovasz_softmax(probabilities, labels, judged).backward()
    assert (probabilities.grad[..., 2] == 0).all()
    assert (probabilities.grad[:, :, 0, :2] != 0).any()
    assert lovasz_softmax(probabilities, labels, judged & False).item() == 0


THREE = LabelSet("three", ("out", "left", "right"), ((0, 0, 0),) * 3, sets=(ClassSet(100, (1, 2)),))


def test_the_criterion_adds_it_without_pixels_of_sets():
    scores = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    labels = torch.tensor([0, 1, 2, 100, 255])[
        torch.randint(0, 5, (2, 4, 4), generator=torch.Generator().manual_seed(4))
    ]
    plain = ParsingLoss(THREE)(ParsingOutput(scores, ()), labels)
    losses = ParsingLoss(THREE, LossOptions(iou_weight=0.5))(ParsingOutput(scores, ()), labels)
    alone = lovasz_softmax(scores.softmax(dim=1), labels, labels < 3)
    torch.testing.assert_close(losses["fused/iou"], alone)
    torch.testing.assert_close(losses["loss"], plain["loss"] + 0.5 * alone)
