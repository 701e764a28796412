"""Fuse the maps of several scales with weights for every pixel (Section 3.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

Aggregated = tuple[Float[Tensor, "b c h w"], Float[Tensor, "b s h w"] | None]


class Aggregation(nn.Module, ABC):
    """Fuse maps of one shape: class scores, probabilities or features.

    Attributes:
        channels: channels C of each map; None for any number.
        num_scales: number of maps N_S; None for any number.
    """

    channels: int | None = None
    num_scales: int | None = None

    @abstractmethod
    def forward(self, maps: Sequence[Float[Tensor, "b c h w"]]) -> Aggregated:
        """Fuse ``maps``, each (B, C, h, w).

        Returns:
            The fused map (B, C, h, w) and the weights of Eq. 2 (B, N_S, h, w). The weights are None if every channel
            chooses its own scale.

        Raises:
            ValueError: the maps differ in shape, or have the wrong number or number of channels.
        """

    def check_built_for(self, channels: int, num_scales: int) -> None:
        """Raise a ValueError if the module was built for maps of other channels, or for another number of them."""
        for what, own, needed in (("channels", self.channels, channels), ("scales", self.num_scales, num_scales)):
            if own not in (None, needed):
                raise ValueError(f"aggregation: built for {own} {what}, but the maps have {needed}")

    def check(self, maps: Sequence[Tensor]) -> None:
        """Raise the ValueError of :meth:`forward` if ``maps`` cannot be fused."""
        if torch.compiler.is_compiling():
            return  # sizes are symbols here, and a comparison would fix them
        if not maps:
            raise ValueError("expected maps to fuse, got none")
        shapes = [tuple(of_scale.shape) for of_scale in maps]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"expected maps of one shape, got {' and '.join(map(str, dict.fromkeys(shapes)))}; "
                "ssnan.models.pyramid.resize_to_finest resizes them to the finest one"
            )
        if self.channels not in (None, shapes[0][1]):
            raise ValueError(f"expected maps of {self.channels} channels, got {shapes[0][1]}")
        if self.num_scales not in (None, len(maps)):
            raise ValueError(
                f"expected {self.num_scales} maps, one per scale, got {len(maps)}; the paper's module has "
                "a fixed number of scales, SharedNeuralAggregation takes any"
            )


class NeuralAggregation(Aggregation):
    """The paper's module. Two convolutions, ``hidden`` × 3 × 3 and N_S × 3 × 3, read all maps together, with a ReLU
    between them that the paper does not mention. A softmax over scales (Eq. 3) turns their output into weights that all
    channels share, and Eq. 2 is the weighted sum. The result is in the convex hull of the maps.

    The number and order of the maps are fixed; :class:`SharedNeuralAggregation` takes any.

    Args:
        channels: channels C of each map.
        num_scales: number of maps N_S.
        hidden: width of the first convolution; 512 in the paper.
    """

    def __init__(self, channels: int, num_scales: int, hidden: int = 512) -> None:
        super().__init__()
        self.channels = channels
        self.num_scales = num_scales
        self.attention = _attention(channels * num_scales, hidden, num_scales)

    def forward(self, maps: Sequence[Float[Tensor, "b c h w"]]) -> Aggregated:
        self.check(maps)
        weights = self.attention(torch.cat(list(maps), dim=1)).softmax(dim=1)
        return weighted_sum(weights, maps), weights


class SharedNeuralAggregation(Aggregation):
    """One head scores each scale separately, so any number and order of scales is possible.

    The paper asks for a module "able to process different number of scales and invariant to the scale order" (Section
    3.2), but the N_S filters of its second convolution fix the number, and concatenated maps have an order. Here a^s =
    f(x^s) with the same two convolutions, ``hidden`` × 3 × 3 and 1 × 3 × 3, for every scale. Eqs. 2 and 3 are
    unchanged.

    Args:
        channels: channels C of each map.
        hidden: width of the first convolution.
    """

    def __init__(self, channels: int, hidden: int = 512) -> None:
        super().__init__()
        self.channels = channels
        self.attention = _attention(channels, hidden, 1)

    def forward(self, maps: Sequence[Float[Tensor, "b c h w"]]) -> Aggregated:
        self.check(maps)
        weights = torch.cat([self.attention(of_scale) for of_scale in maps], dim=1).softmax(dim=1)
        return weighted_sum(weights, maps), weights


class AverageAggregation(Aggregation):
    """Average pooling over scales: w ≡ 1 / N_S."""

    def forward(self, maps: Sequence[Float[Tensor, "b c h w"]]) -> Aggregated:
        self.check(maps)
        batch, _, height, width = maps[0].shape
        weights = maps[0].new_full((batch, len(maps), height, width), 1 / len(maps))
        return weighted_sum(weights, maps), weights


class MaximumAggregation(Aggregation):
    """Maximum pooling over scales, separately for each channel."""

    def forward(self, maps: Sequence[Float[Tensor, "b c h w"]]) -> Aggregated:
        self.check(maps)
        fused = maps[0]
        for of_scale in maps[1:]:
            fused = torch.maximum(fused, of_scale)
        return fused, None


def _attention(channels: int, hidden: int, out: int) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(hidden, out, 3, padding=1)
    )
    for convolution in (layers[0], layers[2]):
        assert isinstance(convolution, nn.Conv2d)
        # Nearly equal initial weights, so training starts from average pooling.
        nn.init.normal_(convolution.weight, std=0.01)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return layers


def weighted_sum(weights: Float[Tensor, "b s h w"], maps: Sequence[Tensor]) -> Tensor:
    """Eq. 2: the weighted sum of the maps of S scales, (B, C, h, w) each; all channels share the weights."""
    fused = weights[:, :1] * maps[0]
    for s, one in enumerate(maps[1:], start=1):
        fused = fused + weights[:, s : s + 1] * one
    return fused
