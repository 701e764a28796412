"""Communication for losses over a whole batch, of which each process has a share.

Nothing changes with one process. Gradients are correct if they are then averaged over processes, as in DDP, and all
shares have the same size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def _count() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor of any shape, equal on every process; without gradient."""
    value = value.detach().clone()
    if _count() > 1:
        distributed.all_reduce(value)
        value /= _count()
    return value


def mean_count(count: Tensor) -> Tensor:
    """The mean of a count over processes, as if the whole batch had at least 1. The mean over processes of sums divided
    by it is the mean over the whole batch: with one limb and three on two processes, over four limbs."""
    return mean_over_processes(count.float()).clamp_min(1 / _count())


def whole_batch(share: Tensor) -> Tensor:
    """The shares (b, …) of all processes concatenated, with a gradient to each."""
    if _count() == 1:
        return share
    gathered: Tensor = _Gather.apply(share)
    return gathered


class _Gather(torch.autograd.Function):
    # torch.distributed.nn.functional.all_gather has wrong non-contiguous gradients with gloo.

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        shares = [torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(_count())]
        distributed.all_gather(shares, share.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient.chunk(_count())[distributed.get_rank()]
