"""Attention: Chen et al., Attention to scale: Scale-aware semantic image segmentation, CVPR 2016.

https://arxiv.org/abs/1511.03339
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssnan.models.aggregation import weighted_sum
from ssnan.models.backbone import Backbone
from ssnan.models.heads import LargeFOV, classifier, load_fc67, untrained_parameters
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.pyramid import resize_to_finest, resized, sorted_scales


class Attention(ParsingNetwork):
    """DeepLab-LargeFOV shared over scales, whose scores are weighted by attention from their features.

    The attention head concatenates the fc7 features of all scales and applies ``width`` × 3 × 3, ReLU, dropout and
    N_S × 1 × 1 with a softmax over scales. Every scale is also supervised, which the paper calls essential. SS-NAN
    reads score maps instead, and its second filter is 3 × 3.

    Attention+SSL (Gong et al., Look into Person, https://arxiv.org/abs/1703.05446) is this network, fine-tuned with the
    joint loss by a recipe.

    Args:
        num_classes: classes C, including the background.
        backbone: VGG-16 at output stride 8 in the paper.
        scales: sizes relative to the input.
        hidden: channels of fc6 and fc7.
        width: channels of the attention head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        scales: Sequence[float] = (0.5, 0.75, 1.0),
        hidden: int = 1024,
        width: int = 512,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scales = sorted_scales(scales)
        self.backbone = backbone
        self.head = LargeFOV(backbone.channels, hidden)
        self.classifier = classifier(hidden, num_classes, 1)
        self.attention = nn.Sequential(
            nn.Conv2d(hidden * len(self.scales), width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            classifier(width, len(self.scales), 1),
        )

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        features = [self.head(self.backbone(resized(images, scale))) for scale in self.scales]
        maps = resize_to_finest([self.classifier(of_scale) for of_scale in features])
        weights = self.attention(torch.cat(resize_to_finest(features), dim=1)).softmax(dim=1)
        return ParsingOutput(weighted_sum(weights, maps), tuple(maps), weights)

    def new_parameters(self) -> list[nn.Parameter]:
        return untrained_parameters(self.head, self.classifier, self.attention)

    def load_backbone(self, weights: str) -> None:
        load_fc67(self, self.backbone.load(weights))
