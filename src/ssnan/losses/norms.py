"""How long the gradients of losses are with respect to the scores, so that two of them can take steps of one length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ssnan.losses.processes import mean_over_processes

NEW_SHARE = 0.01
"""Share of the newest step in a running mean; before a hundred steps, all steps count alike."""


def gradient_of(loss: Float[Tensor, ""], scores: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """d ``loss`` / d ``scores``, without a step back into what the scores come from; 0 where they do not matter."""
    if not loss.requires_grad:
        return torch.zeros_like(scores)
    return torch.autograd.grad(loss, scores, retain_graph=True, materialize_grads=True)[0]


def same_step(
    scores: Float[Tensor, "b c h w"],
    base: Float[Tensor, " b"],
    other: Float[Tensor, " b"],
    running: Float[Tensor, " 3"] | None,
) -> tuple[Float[Tensor, ""], Float[Tensor, " 3"]]:
    """The factor that makes the gradient of ``other`` as long as that of ``base``, over the steps so far.

    Args:
        scores: of b pictures; the losses of a picture depend on its own scores alone.
        base, other: losses of each picture, with a gradient to ``scores``.
        running: what the last step returned; None for the first one.

    Returns:
        The factor, a constant to the gradient and the same on every process, and the state to pass to the next
        step: steps so far, and of either loss the running mean over pictures of its squared gradient.
    """
    squares = [gradient_of(loss.sum(), scores).square().sum(dim=(1, 2, 3)).mean() for loss in (base, other)]
    now = mean_over_processes(torch.stack(squares))
    before = now.new_zeros(3) if running is None else running.to(now.device)
    steps = before[:1] + 1
    means = before[1:].lerp(now, (1 / steps).clamp_min(NEW_SHARE))
    ratio = (means[0] / means[1].clamp_min(torch.finfo(means.dtype).tiny)).sqrt()
    return ratio, torch.cat([steps, means])
