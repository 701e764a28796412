"""Mean IoU as a loss: Berman, Triki and Blaschko, The Lovász-Softmax Loss, CVPR 2018 (https://arxiv.org/abs/1705.08790)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def lovasz_softmax(
    probabilities: Float[Tensor, "b c H W"], labels: Int[Tensor, "b H W"], judged: Bool[Tensor, "b H W"]
) -> Float[Tensor, ""]:
    """The Lovász extension of 1 − IoU over all pixels of the batch, averaged over the classes that occur (Eq. 11,
    "present"). It is in 0..1, and equals 1 − mean IoU if all probabilities are 0 or 1.

    Args:
        probabilities: class probabilities after the softmax.
        labels: class ids, valid where ``judged``.
        judged: pixels that count; the loss is 0 if there are none.
    """
    of_class = probabilities.movedim(1, 3)[judged]
    truth = labels[judged]
    present = truth.unique()
    if not len(present):
        return probabilities.sum() * 0
    foreground = (truth == present[:, None]).float()
    errors = (foreground - of_class[:, present].T).abs()
    errors, order = errors.sort(dim=1, descending=True)
    return (errors * _gradient(foreground.gather(1, order))).sum(dim=1).mean()


def _gradient(foreground: Float[Tensor, "k n"]) -> Float[Tensor, "k n"]:
    """The increase of 1 − IoU with each further wrong pixel, the largest error first (Algorithm 1)."""
    size = foreground.sum(dim=1, keepdim=True)
    intersection = size - foreground.cumsum(dim=1)
    union = size + (1 - foreground).cumsum(dim=1)
    loss = 1 - intersection / union
    return torch.cat([loss[:, :1], loss[:, 1:] - loss[:, :-1]], dim=1)
