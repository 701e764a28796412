"""SS-NAN: Zhao et al., Self-Supervised Neural Aggregation Networks for Human Parsing, Section 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssnan.models.aggregation import Aggregation, NeuralAggregation
from ssnan.models.backbone import Backbone, SkipBackbone
from ssnan.models.heads import classifier
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.pyramid import resize_to_finest, resized, sorted_scales


class SSNAN(ParsingNetwork):
    """One Skip-Net shared over several scales of the photo, fused at every pixel.

    Args:
        num_classes: classes C, including the background.
        backbone: the Skip-Net; ResNet-101 in the paper, with PSPNet's weights, which have output stride 8.
            :class:`SkipBackbone` is faster on a CPU.
        scales: sizes relative to the input. The attribute ``scales`` may change after training if the aggregation takes
            any number of maps.
        aggregation: fuses the scales; the paper's :class:`NeuralAggregation` by default.
        aggregated: what to fuse. The paper says "probability maps" and then applies a softmax to their sum. ``scores``
            is our reading: one softmax after the fusion. ``probabilities`` fuses after the softmax of each scale and
            returns logarithms, so that a softmax restores the fused probabilities. ``literal`` is the text of the
            paper: probabilities are resized to the finest scale, and their fusion is returned as scores,
            softmax(Σ w·p). ``features`` fuses the output of the backbone and classifies once, as a public Keras version
            does.

    Raises:
        ValueError: the scales are invalid, or the aggregation was built for other maps.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone | SkipBackbone,
        scales: Sequence[float] = (0.5, 0.75, 1.0),
        aggregation: Aggregation | None = None,
        aggregated: Literal["scores", "probabilities", "literal", "features"] = "scores",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scales = sorted_scales(scales)
        self.backbone = backbone
        self.classifier = classifier(backbone.channels, num_classes, 3)
        self.aggregated = aggregated
        channels = backbone.channels if aggregated == "features" else num_classes
        self.aggregation = aggregation or NeuralAggregation(channels, len(self.scales))
        self.aggregation.check_built_for(channels, len(self.scales))

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        """Parse normalised photos; scores have the stride of the finest scale."""
        features = [self.backbone(resized(images, scale)) for scale in sorted_scales(self.scales)]
        if self.aggregated == "features":
            fused, weights = self.aggregation(resize_to_finest(features))
            maps = resize_to_finest([self.classifier(of_scale) for of_scale in features])
            return ParsingOutput(self.classifier(fused), tuple(maps), weights)
        scores = [self.classifier(of_scale) for of_scale in features]
        maps = resize_to_finest(scores)
        if self.aggregated == "literal":
            fused, weights = self.aggregation(resize_to_finest([of_scale.softmax(dim=1) for of_scale in scores]))
            return ParsingOutput(fused, tuple(maps), weights)
        if self.aggregated == "probabilities":
            fused, weights = self.aggregation([of_scale.softmax(dim=1) for of_scale in maps])
            return ParsingOutput(fused.clamp_min(torch.finfo(fused.dtype).tiny).log(), tuple(maps), weights)
        fused, weights = self.aggregation(maps)
        return ParsingOutput(fused, tuple(maps), weights)

    def new_parameters(self) -> list[nn.Parameter]:
        return [*self.classifier.parameters(), *self.aggregation.parameters(), *self.backbone.new_parameters()]

    def load_backbone(self, weights: str) -> None:
        self.backbone.load(weights)
