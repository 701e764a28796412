"""The interface of all networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssnan.labels import LabelSet


class ParsingOutput(NamedTuple):
    """The output for a batch of photos; scores are before the softmax.

    Attributes:
        scores: fused class scores, (B, C, h, w), at the network's own stride.
        scale_scores: class scores of every scale, each resized to (h, w), coarsest first, for deep supervision (Section
            3.3). For HAZN and LG-LSTM, those of the earlier stages or layers. Empty for networks with one scale.
        scale_weights: weights of Eq. 3, (B, S, h, w), summing to one over S; None without weights per pixel.
        extra: inputs of :meth:`ParsingNetwork.auxiliary_losses`; empty for most networks.
        people: centre scores and offsets of people, (B, 3, p, q), see :mod:`ssnan.scores.grouping`; None without an
            instance head.
    """

    scores: Float[Tensor, "b c h w"]
    scale_scores: tuple[Float[Tensor, "b c h w"], ...] = ()
    scale_weights: Float[Tensor, "b s h w"] | None = None
    extra: Mapping[str, Any] = MappingProxyType({})
    people: Float[Tensor, "b 3 p q"] | None = None


class ParsingNetwork(nn.Module, ABC):
    """A network from normalised photos (B, 3, H, W) to a :class:`ParsingOutput`.

    Attributes:
        num_classes: classes C, including the background.
        tells_apart: whether the output has ``people``.
    """

    num_classes: int
    tells_apart: bool = False

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput: ...

    def auxiliary_losses(
        self, output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet
    ) -> dict[str, Float[Tensor, ""]]:
        """Further losses of the network, added to the parsing loss with weight 1; none by default.

        Args:
            output: output of :meth:`forward` in training.
            batch: ``labels`` (B, H, W), and ``limbs`` (B, H, W) if the data have keypoints, and ``instances`` (B, H, W)
                if they tell people apart.
            label_set: label set of both.
        """
        return {}

    @abstractmethod
    def new_parameters(self) -> list[nn.Parameter]:
        """Parameters without initial weights, which learn ten times faster by default; in the paper the classifier does
        (Section 4.1)."""

    @abstractmethod
    def load_backbone(self, weights: str) -> None:
        """Start the backbone from ``weights``, as :meth:`Backbone.load` does."""


def no_loss(maps: Sequence[Tensor]) -> Float[Tensor, ""]:
    """A loss of 0 that depends on the maps. A part without targets returns it, because training on several processes
    expects a gradient for every parameter."""
    return 0.0 * torch.stack([values.mean() for values in maps]).sum()
