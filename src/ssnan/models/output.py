"""What every network takes and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from ssnan.labels import LabelSet


class ParsingOutput(NamedTuple):
    """Scores of a batch of pictures; nothing has passed a softmax over classes yet.

    Attributes:
        scores: fused class scores, (B, C, h, w), at the network's own stride.
        scale_scores: class scores of every scale, each resized to (h, w), coarsest first; they are
            supervised too (Section 3.3). Of HAZN and LG-LSTM, those of the earlier stages or layers. Empty for
            networks with a single scale.
        scale_weights: weights of Eq. 3, (B, S, h, w), summing to one over S; None where scales are
            not weighted pixel by pixel.
        extra: what the network's own :meth:`ParsingNetwork.auxiliary_losses` needs; empty for most.
    """

    scores: Float[Tensor, "b c h w"]
    scale_scores: tuple[Float[Tensor, "b c h w"], ...] = ()
    scale_weights: Float[Tensor, "b s h w"] | None = None
    extra: Mapping[str, Any] = MappingProxyType({})


class ParsingNetwork(nn.Module, ABC):
    """A network from pictures (B, 3, H, W), normalised, to a :class:`ParsingOutput`."""

    num_classes: int

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput: ...

    def auxiliary_losses(
        self, output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet
    ) -> dict[str, Float[Tensor, ""]]:
        """Losses of the network's own, added to the parsing loss with weight 1; most have none.

        Args:
            output: of :meth:`forward`, in training.
            batch: ``labels`` (B, H, W), and ``limbs`` likewise where the data have keypoints.
            label_set: of both.
        """
        return {}

    @abstractmethod
    def classifier_parameters(self) -> list[nn.Parameter]:
        """Parameters that start untrained, and learn ten times faster (Section 4.1)."""

    @abstractmethod
    def load_backbone(self, weights: str) -> None:
        """Start the backbone from ``weights``, as :meth:`Backbone.load` does."""
