"""What a loss that looks at the batch as a whole asks of the other processes that have shares of it.

With one process, all of it is what it would be without. Gradients come out right where they are averaged over the
processes afterwards, as DDP does, and shares are of one size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def _count() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mean_over_processes(value: Tensor) -> Tensor:
    """Of a tensor of any shape, the same shape on every process; a constant to the gradient."""
    value = value.detach().clone()
    if _count() > 1:
        distributed.all_reduce(value)
        value /= _count()
    return value


def whole_batch(share: Tensor) -> Tensor:
    """Every process's share (b, …), one after the other; with a gradient to each."""
    if _count() == 1:
        return share
    gathered: Tensor = _Gather.apply(share)
    return gathered


class _Gather(torch.autograd.Function):
    # Not torch.distributed.nn.functional.all_gather, whose gradient under gloo is wrong where it is not contiguous.

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
