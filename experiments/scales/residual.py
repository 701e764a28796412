"""The control for capacity: average pooling with as many parameters as the paper's module, but no weights."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from experiments.fusion_heads.heads import HIDDEN, Residual
from ssnan.models import Aggregation
from ssnan.models.aggregation import Aggregated


class ResidualAggregation(Aggregation):
    """The average of the maps, and what two convolutions that read them all add to it.

    Args:
        channels: channels of each map.
        num_scales: number of maps.
        hidden: width of the module of the paper that has as many parameters.
    """

    def __init__(self, channels: int, num_scales: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.channels = channels
        self.num_scales = num_scales
        self.residual = Residual(channels, num_scales, hidden)

    def forward(self, maps: Sequence[Float[Tensor, "b c h w"]]) -> Aggregated:
        self.check(maps)
        return self.residual(list(maps)), None
