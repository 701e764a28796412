"""SS-NAN: Zhao et al., Self-Supervised Neural Aggregation Networks for Human Parsing, Section 3."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ssnan.models.aggregation import NeuralAggregation
from ssnan.models.backbone import Backbone
from ssnan.models.output import ParsingNetwork, ParsingOutput


class SSNAN(ParsingNetwork):
    """One Skip-Net shared over several sizes of the picture, fused pixel by pixel.

    Args:
        num_classes: classes C, background included.
        backbone: the Skip-Net; ResNet-101 at output stride 8 in the paper.
        scales: sizes relative to the input. Their order is of no consequence.
        hidden: width of the aggregation module.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        scales: Sequence[float] = (0.5, 0.75, 1.0),
        hidden: int = 512,
    ) -> None:
        super().__init__()
        if not scales or len(set(scales)) != len(scales) or min(scales) <= 0:
            raise ValueError(f"scales: expected different positive numbers, got {list(scales)}")
        self.num_classes = num_classes
        self.scales = tuple(sorted(scales))
        self.backbone = backbone
        self.classifier = nn.Conv2d(backbone.channels, num_classes, 3, padding=1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]
        self.aggregation = NeuralAggregation(num_classes, len(self.scales), hidden)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        """Parse normalised pictures; scores come at the finest scale's stride.

        Feature i lies exactly on pixel ``stride · i`` where every scale's height and width are a
        multiple of the stride plus one, as 321, 241 and 161 are; all resizing aligns corners.
        """
        maps = [self.classifier(self.backbone(_resized(images, scale))) for scale in self.scales]
        finest = maps[-1].shape[-2:]
        maps = [
            *(interpolate(scores, size=finest, mode="bilinear", align_corners=True) for scores in maps[:-1]),
            maps[-1],
        ]
        fused, weights = self.aggregation(maps)
        return ParsingOutput(fused, tuple(maps), weights)

    def classifier_parameters(self) -> list[nn.Parameter]:
        return [*self.classifier.parameters(), *self.aggregation.parameters()]

    def load_backbone(self, weights: str) -> None:
        self.backbone.load(weights)


def _resized(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    # Whole numbers throughout, for the exporter: s = n / d, and (H − 1) s + 1 rounded.
    n, d = Fraction(scale).limit_denominator(100).as_integer_ratio()
    height, width = (((side - 1) * n + d // 2) // d + 1 for side in images.shape[-2:])
    return interpolate(images, size=(height, width), mode="bilinear", align_corners=True)
