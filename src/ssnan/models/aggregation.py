"""Adaptive neural aggregation (Section 3.2): every pixel chooses how much it trusts each scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class NeuralAggregation(nn.Module):
    """Weigh and sum score maps of several scales.

    Two convolutions, ``hidden`` × 3 × 3 with a ReLU and N_S × 3 × 3, read all the maps together;
    a softmax over scales (Eq. 3) turns their output into weights that all channels share, and the
    weighted sum is Eq. 2. The result lies in the convex hull of the maps.

    Args:
        channels: channels C of each map.
        num_scales: number of maps N_S.
        hidden: width of the first convolution; 512 in the paper.
    """

    def __init__(self, channels: int, num_scales: int, hidden: int = 512) -> None:
        super().__init__()
        self.num_scales = num_scales
        self.attention = nn.Sequential(
            nn.Conv2d(channels * num_scales, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, num_scales, 3, padding=1),
        )
        for convolution in (self.attention[0], self.attention[2]):
            assert isinstance(convolution, nn.Conv2d)
            # Nearly equal weights at the start: training begins as average pooling.
            nn.init.normal_(convolution.weight, std=0.01)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(
        self, maps: Sequence[Float[Tensor, "b c h w"]]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b s h w"]]:
        """Fuse ``maps``, each (B, C, h, w), in the order the module was trained with.

        Returns:
            The fused map (B, C, h, w) and the weights (B, N_S, h, w).

        Raises:
            ValueError: the number of maps is not ``num_scales``.
        """
        if len(maps) != self.num_scales:
            raise ValueError(
                f"expected {self.num_scales} maps, one a scale, got {len(maps)}; "
                "the paper's module is built for a fixed number of scales"
            )
        weights = self.attention(torch.cat(list(maps), dim=1)).softmax(dim=1)
        fused = sum(weights[:, s : s + 1] * scores for s, scores in enumerate(maps))
        return fused, weights
