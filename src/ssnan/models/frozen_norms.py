"""Frozen batch norms that cost nothing in training: the convolution before a norm applies it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import batch_norm


class FrozenNorm(nn.Module):
    """A batch norm whose statistics and affine terms never change. Its tensors have the names of those of
    ``nn.BatchNorm2d``. In training mode it returns its input, because the convolution before it has applied it.

    Args:
        norm: the norm whose tensors it takes over.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        for name, tensor in (*norm.named_parameters(), *norm.named_buffers()):
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)
        self.requires_grad_(False)

    def slope_and_shift(self) -> tuple[Tensor, Tensor]:
        """What it multiplies each channel by, and what it then adds; both (C,)."""
        slope = self.weight * torch.rsqrt(self.running_var + self.eps)
        return slope, self.bias - self.running_mean * slope

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if self.training:
            return features
        return batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class NormedConv2d(nn.Conv2d):
    """A convolution without bias that applies the frozen norm behind it in training mode, as a factor of its weights
    and a bias. The gradient of the weights is that of convolution and norm, without a pass over the features for the
    norm in either direction.

    Args:
        convolution: the convolution whose weights it takes over.
        norm: the norm, which belongs to another module.
    """

    def __init__(self, convolution: nn.Conv2d, norm: FrozenNorm) -> None:
        of: Any = convolution  # torch declares these numbers wider than it accepts them
        super().__init__(
            of.in_channels, of.out_channels, of.kernel_size, of.stride, of.padding, of.dilation, of.groups,
            bias=False, device="meta",
        )  # fmt: skip
        self.weight = convolution.weight
        self.behind = (norm,)  # in a tuple, so that its tensors are not listed here too

    def forward(self, features: Float[Tensor, "b i H W"]) -> Float[Tensor, "b o h w"]:
        (norm,) = self.behind
        if not norm.training:
            return super().forward(features)
        slope, shift = norm.slope_and_shift()
        weight = self.weight * slope[:, None, None, None]
        return self._conv_forward(features, weight, shift)


def freeze_norms(network: nn.Module) -> None:
    """Freeze the batch norms of a network. Each norm directly behind a convolution becomes a :class:`FrozenNorm`: in an
    ``nn.Sequential``, and as ``bn1`` behind ``conv1``, as timm's ResNets name them. The others only lose their
    gradient, and must be in inference mode while the network trains, see :func:`other_norms`."""
    for parent in list(network.modules()):
        for before, behind in _neighbours(parent):
            convolution, norm = parent.get_submodule(before), parent.get_submodule(behind)
            if type(convolution) is nn.Conv2d and convolution.bias is None and type(norm) is nn.BatchNorm2d:
                frozen = FrozenNorm(norm)
                setattr(parent, behind, frozen)
                setattr(parent, before, NormedConv2d(convolution, frozen))
    for other in other_norms(network):
        other.requires_grad_(False)


def other_norms(network: nn.Module) -> list[nn.Module]:
    """The batch norms that no convolution applies."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _neighbours(parent: nn.Module) -> list[tuple[str, str]]:
    """Names of children of which the second reads what the first returns, and nothing else does."""
    names = [name for name, _ in parent.named_children()]
    if isinstance(parent, nn.Sequential):
        return list(pairwise(names))
    return [(name, f"bn{name[4:]}") for name in names if re.fullmatch(r"conv\d+", name) and f"bn{name[4:]}" in names]
