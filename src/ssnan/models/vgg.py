"""VGG's convolutions (Simonyan and Zisserman, https://arxiv.org/abs/1409.1556) for the systems of the paper's
tables."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ssnan.models.timm_network import timm_network


class VGG(nn.Module):
    """timm's VGG up to the last of chosen pools; returns the maps after them.

    Pools are 3 × 3 with a padding of 1, as in DeepLab, so that feature i is on pixel ``stride · i``. Pools beyond the
    output stride keep their 3 × 3 maximum without a stride, and the convolutions after them are dilated instead.

    Args:
        name: ``vgg11``, ``vgg13``, ``vgg16``, ``vgg19``, or one of them with ``_bn``.
        output_stride: 8 gives DeepLab-LargeFOV's network (pool4 and pool5 with stride 1, conv5 dilated by 2); 32 gives
            the plain network.
        pools: the pools whose maps to return, from 1 to 5, first to last.

    Attributes:
        channels, strides: channels and strides of these maps.

    Raises:
        ValueError: timm has no such VGG, or it has no such pools.
    """

    def __init__(self, name: str, output_stride: int, pools: tuple[int, ...] = (5,)) -> None:
        super().__init__()
        # timm's names and numbers, so that its weights fit.
        self.features = vgg_layers(name)
        self.taps: list[int] = []
        self.channels: list[int] = []
        self.strides: list[int] = []
        stride = rate = pool = channels = 1
        if not pools or not set(pools) <= set(range(1, 6)):
            raise ValueError(f"backbone: {name} has stages 1 to 5, each with a pool, got {list(pools)}")
        for index, layer in enumerate(self.features):
            if isinstance(layer, nn.Conv2d):
                channels = layer.out_channels
                layer.dilation = layer.padding = (rate, rate)
            elif isinstance(layer, nn.MaxPool2d):
                step = 2 if 2 * stride <= output_stride else 1
                self.features[index] = nn.MaxPool2d(3, step, padding=1)
                stride, rate = stride * step, rate if step == 2 else rate * 2
                if pool in pools:
                    self.taps.append(index)
                    self.channels.append(channels)
                    self.strides.append(stride)
                pool += 1
        self.features = self.features[: self.taps[-1] + 1]

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> list[Tensor]:
        maps = []
        features = images
        for index, layer in enumerate(self.features):
            features = layer(features)
            if index in self.taps:
                maps.append(features)
        return maps


def vgg_layers(name: str) -> Any:
    """The convolutions and pools of timm's VGG ``name``, an ``nn.Sequential``.

    Raises:
        ValueError: timm has no such VGG.
    """
    # The narrowest fully connected layers, because timm always makes them. The usual ones are nine tenths of a VGG.
    return timm_network(name, num_classes=0, mlp_ratio=1 / 4096).features
