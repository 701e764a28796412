"""DeepLabV2: Chen et al., DeepLab: Semantic image segmentation with deep convolutional nets, atrous
convolution, and fully connected CRFs, 2016; without the CRF.

https://arxiv.org/abs/1606.00915
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from ssnan.models.aggregation import MaximumAggregation
from ssnan.models.backbone import Backbone
from ssnan.models.heads import ASPP, ASPPClassifier, LargeFOV, classifier, load_fc67, untrained_parameters
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.pyramid import resize_to_finest, resized, sorted_scales


class DeepLabV2(ParsingNetwork):
    """A dilated backbone with one of the paper's three heads, at one scale or several.

    Args:
        num_classes: classes C, including the background.
        backbone: VGG-16 or ResNet-101 at output stride 8 in the paper.
        head: ``large_fov`` and ``aspp`` are the VGG forms, ``aspp_classifier`` the ResNet form.
        scales: sizes relative to the input. The ResNet form has 0.5, 0.75 and 1, takes the largest score of each class
            at each pixel, and supervises every scale and the merged map.
        hidden: channels of fc6 and fc7 in the VGG forms.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        head: Literal["large_fov", "aspp", "aspp_classifier"] = "aspp",
        scales: Sequence[float] = (1.0,),
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scales = sorted_scales(scales)
        self.backbone = backbone
        self.head: nn.Module
        if head == "large_fov":
            self.head = nn.Sequential(LargeFOV(backbone.channels, hidden), classifier(hidden, num_classes, 1))
        elif head == "aspp":
            self.head = ASPP(backbone.channels, num_classes, hidden)
        else:
            self.head = ASPPClassifier(backbone.channels, num_classes)
        self.merge = MaximumAggregation()

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        maps = resize_to_finest([self.head(self.backbone(resized(images, scale))) for scale in self.scales])
        if len(maps) == 1:
            return ParsingOutput(maps[0])
        merged, _ = self.merge(maps)
        return ParsingOutput(merged, tuple(maps))

    def new_parameters(self) -> list[nn.Parameter]:
        return untrained_parameters(self.head)

    def load_backbone(self, weights: str) -> None:
        load_fc67(self, self.backbone.load(weights))
