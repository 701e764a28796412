"""The mean IoU itself as a loss: Berman, Triki and Blaschko, The Lovász-Softmax Loss, CVPR 2018."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def lovasz_softmax(
    probabilities: Float[Tensor, "b c H W"], labels: Int[Tensor, "b H W"], judged: Bool[Tensor, "b H W"]
) -> Float[Tensor, ""]:
    """The Lovász extension of 1 − IoU, averaged over the classes that occur (Eq. 11, "present"), over all pixels of
    the batch together; in 0..1, and 1 − mean IoU itself where probabilities are 0 or 1.

    Args:
        probabilities: of the classes, over their softmax.
        labels: class ids where ``judged``.
        judged: pixels that count; 0 is the loss where none does.
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
    """How much 1 − IoU grows with each further pixel that is wrong, worst first (Algorithm 1)."""
    size = foreground.sum(dim=1, keepdim=True)
    intersection = size - foreground.cumsum(dim=1)
    union = size + (1 - foreground).cumsum(dim=1)
    loss = 1 - intersection / union
    return torch.cat([loss[:, :1], loss[:, 1:] - loss[:, :-1]], dim=1)
