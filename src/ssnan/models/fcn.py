"""FCN-8s: Long, Shelhamer, Darrell, Fully convolutional networks for semantic segmentation, CVPR 2015.

https://arxiv.org/abs/1411.4038
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssnan.models.backbone import Pyramid
from ssnan.models.heads import FC67, classifier, load_fc67, untrained_parameters
from ssnan.models.output import ParsingNetwork, ParsingOutput


class FCN8s(ParsingNetwork):
    """Scores at strides 32, 16 and 8, added from coarse to fine.

    fc6 (7 × 7) and fc7 (1 × 1) with dropout follow the coarsest map. Score layers follow fc7 and the two finer maps.
    Transposed convolutions, initially bilinear, double the coarser scores. The last enlargement, by 8, is the bilinear
    one of every system.

    This differs from the original, which pads the photo by 100 and crops. Here maps are padded in place, the doubling
    filters are 3 × 3, and a VGG's pools are 3 × 3 instead of 2 × 2, so that feature i stays on pixel ``stride · i``.

    Args:
        num_classes: classes C, including the background.
        backbone: maps at strides 8, 16 and 32; VGG-16's pool3, pool4 and pool5 in the paper.
        hidden: channels of fc6 and fc7; 4096 in the paper.
        skip_scales: factors on the maps at strides 8 and 16 before their score layers. The release has 0.0001 and 0.01
            for VGG-16 on pixels of 0 to 255, so that the coarse scores dominate. Normalised pixels are about 57 times
            smaller, and so are VGG's features.

    Raises:
        ValueError: the backbone has not three maps.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Pyramid,
        hidden: int = 4096,
        skip_scales: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        super().__init__()
        if len(backbone.channels) != 3:
            raise ValueError(f"FCN8s: expected a backbone with 3 maps, got {len(backbone.channels)}")
        self.num_classes = num_classes
        self.backbone = backbone
        self.skip_scales = skip_scales
        fc67 = FC67(backbone.channels[2], hidden, kernel=7)
        self.head = nn.Sequential(fc67, classifier(hidden, num_classes, 1))
        self.score_8, self.score_16 = (classifier(channels, num_classes, 1) for channels in backbone.channels[:2])
        self.double_16, self.double_8 = _doubling(num_classes), _doubling(num_classes)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        eighth, sixteenth, coarsest = self.backbone(images)
        of_8, of_16 = self.skip_scales
        scores = self.score_16(of_16 * sixteenth) + _like(self.double_16(self.head(coarsest)), sixteenth)
        return ParsingOutput(self.score_8(of_8 * eighth) + _like(self.double_8(scores), eighth))

    def new_parameters(self) -> list[nn.Parameter]:
        return untrained_parameters(self.head, self.score_8, self.score_16, self.double_8, self.double_16)

    def load_backbone(self, weights: str) -> None:
        load_fc67(self, self.backbone.load(weights))


def _doubling(channels: int) -> nn.ConvTranspose2d:
    """From n features to 2 n, initially bilinear: feature i of the input is on feature 2 i of the output."""
    layer = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1, bias=False)
    kernel = torch.tensor([0.5, 1.0, 0.5])
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = kernel[:, None] * kernel
    return layer


def _like(larger: Tensor, reference: Tensor) -> Tensor:
    return larger[:, :, : reference.shape[2], : reference.shape[3]]
