"""The trunk: one network over several sizes of the photo, without a fusion."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ssnan.models import SSNAN, AverageAggregation, Backbone, ParsingOutput


class PerScale(SSNAN):
    """SS-NAN before its aggregation. Every scale has a loss of its own, and there is no other: training favours no way
    to fuse. The finest scale's scores stand in for the fused ones."""

    def __init__(self, num_classes: int, backbone: Backbone, scales: Sequence[float] = (0.5, 0.75, 1.0)) -> None:
        super().__init__(num_classes, backbone, scales, AverageAggregation())

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        *coarser, finest = super().forward(images).scale_scores
        return ParsingOutput(finest, tuple(coarser))
