"""Norms of the gradients of losses with respect to the scores, to give two losses the same step length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ssnan.models.processes import mean_over_processes

NEW_SHARE = 0.01
"""The weight of the newest step in a running mean; before a hundred steps, all steps have equal weight."""


def gradient_of(loss: Float[Tensor, ""], scores: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """d ``loss`` / d ``scores``, without backpropagation into the network; 0 if the loss does not depend on the
    scores."""
    if not loss.requires_grad:
        return torch.zeros_like(scores)
    return torch.autograd.grad(loss, scores, retain_graph=True, materialize_grads=True)[0]


def same_step(
    scores: Float[Tensor, "b c h w"],
    base: Float[Tensor, " b"],
    other: Float[Tensor, " b"],
    running: Float[Tensor, " 3"] | None,
) -> tuple[Float[Tensor, ""], Float[Tensor, " 3"]]:
    """The factor that gives the gradient of ``other`` the norm of that of ``base``, averaged over the steps so far.

    Args:
        scores: scores of b photos, in 32 bits; the losses of a photo depend only on its own scores.
        base, other: losses of each photo, differentiable in ``scores``.
        running: the state returned by the last step; None for the first.

    Returns:
        The factor, without gradient and equal on every process, and the state for the next step: the number of steps,
        and for each loss the running mean over photos of its squared gradient.
    """
    squares = [gradient_of(loss.sum(), scores).square().sum(dim=(1, 2, 3)).mean() for loss in (base, other)]
    now = mean_over_processes(torch.stack(squares))
    before = now.new_zeros(3) if running is None else running.to(now)
    steps = before[:1] + 1
    means = before[1:].lerp(now, (1 / steps).clamp_min(NEW_SHARE))
    ratio = (means[0] / means[1].clamp_min(torch.finfo(means.dtype).tiny)).sqrt()
    return ratio, torch.cat([steps, means])
