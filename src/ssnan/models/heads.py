"""DeepLab's heads, shared by several systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FC67(nn.Sequential):
    """VGG's fully connected layers fc6 and fc7 as convolutions, each with ReLU and dropout.

    They are initialised as He et al. for ReLU layers. PyTorch's default would make the output of each √6 times smaller,
    and so the gradients. :func:`load_fc67` loads the weights of VGG.

    Args:
        channels: channels of the input.
        hidden: channels of fc6, fc7 and the output.
        kernel: height and width of fc6; fc7 is 1 × 1.
        dilation: dilation of fc6.

    Attributes:
        trained: whether it has loaded weights.
    """

    trained = False

    def __init__(self, channels: int, hidden: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, kernel, padding=dilation * (kernel // 2), dilation=dilation),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @torch.no_grad()
    def load(self, fc6: tuple[Tensor, Tensor], fc7: tuple[Tensor, Tensor]) -> None:
        """Load these weights and biases. Larger layers are decimated as in DeepLab: every n-th channel, and evenly
        spread positions of a kernel."""
        first, second = (layer for layer in self if isinstance(layer, nn.Conv2d))
        channels = _spread(len(fc6[1]), first.out_channels)
        rows = _spread(fc6[0].shape[-1], first.kernel_size[0])
        first.weight.copy_(fc6[0][channels][:, :, rows][:, :, :, rows])
        second.weight.copy_(fc7[0][channels][:, channels])
        first.bias.copy_(fc6[1][channels])  # type: ignore[union-attr]
        second.bias.copy_(fc7[1][channels])  # type: ignore[union-attr]
        self.trained = True


class LargeFOV(FC67):
    """DeepLab-LargeFOV's fc6 and fc7: 3 × 3 with dilation 12, then 1 × 1; 1024 channels in the paper.

    https://arxiv.org/abs/1412.7062
    """

    def __init__(self, channels: int, hidden: int = 1024, dilation: int = 12) -> None:
        super().__init__(channels, hidden, 3, dilation)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling in DeepLabV2's VGG form: the sum of the class scores of one fc6-fc7-fc8 branch per
    rate."""

    def __init__(self, channels: int, num_classes: int, hidden: int = 1024, rates: Sequence[int] = (6, 12, 18, 24)):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(LargeFOV(channels, hidden, rate), classifier(hidden, num_classes, 1)) for rate in rates
        )

    def forward(self, features: Float[Tensor, "b f h w"]) -> Float[Tensor, "b c h w"]:
        return sum_of(self.branches, features)


class ASPPClassifier(nn.Module):
    """Atrous spatial pyramid pooling in DeepLabV2's ResNet form: the sum of parallel 3 × 3 classifiers at several
    rates."""

    def __init__(self, channels: int, num_classes: int, rates: Sequence[int] = (6, 12, 18, 24)) -> None:
        super().__init__()
        self.branches = nn.ModuleList(classifier(channels, num_classes, 3, rate) for rate in rates)

    def forward(self, features: Float[Tensor, "b f h w"]) -> Float[Tensor, "b c h w"]:
        return sum_of(self.branches, features)


def classifier(channels: int, num_classes: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    """A convolution from features to class scores, which are initially nearly equal."""
    convolution = nn.Conv2d(channels, num_classes, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.normal_(convolution.weight, std=0.01)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


def sum_of(branches: nn.ModuleList, features: Tensor) -> Tensor:
    """The sum of all branches."""
    first, *rest = branches
    total: Tensor = first(features)
    for branch in rest:
        total = total + branch(features)
    return total


def load_fc67(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load VGG's fc6 and fc7 into every :class:`FC67` of ``network``, if ``state``, in timm's names, contains them."""
    names = ("pre_logits.fc1", "pre_logits.fc2")
    if all(f"{name}.weight" in state for name in names):
        fc6, fc7 = ((state[f"{name}.weight"], state[f"{name}.bias"]) for name in names)
        for module in network.modules():
            if isinstance(module, FC67) and module[0].in_channels == fc6[0].shape[1]:
                module.load(fc6, fc7)


def untrained_parameters(*parts: nn.Module) -> list[nn.Parameter]:
    """Parameters of ``parts`` without those of a trained fc6 and fc7."""
    trained = {
        id(parameter)
        for part in parts
        for module in part.modules()
        if isinstance(module, FC67) and module.trained
        for parameter in module.parameters()
    }
    return [parameter for part in parts for parameter in part.parameters() if id(parameter) not in trained]


def _spread(count: int, wanted: int) -> Tensor:
    """``wanted`` of ``count`` positions, evenly spread from the first."""
    if wanted > count:
        raise ValueError(f"fc6 and fc7: the weights have {count} channels or rows, the network needs {wanted}")
    step = count // wanted if count % wanted == 0 else (count - 1) // max(1, wanted - 1)
    return torch.arange(wanted) * step
