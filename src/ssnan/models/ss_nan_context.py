"""SS-NAN with context, the bundled network: every scale sees context of the whole photo from the coarsest scale.

The class of a garment and the side of a limb depend on distant pixels, but the paper fuses scales only after their
classifiers, at every pixel. Here the deepest map of the coarsest scale also passes a few dilated convolutions and a
mean over the photo, and the result is added to the features of all scales. During training, an additional head
predicts the limbs of the keypoints, clothed or bare, from these features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssnan.labels import LabelSet
from ssnan.models.aggregation import Aggregation, NeuralAggregation
from ssnan.models.backbone import EdgeBackbone, start_for_relu
from ssnan.models.heads import classifier
from ssnan.models.mean_field import MeanField
from ssnan.models.output import ParsingNetwork, ParsingOutput, no_loss
from ssnan.models.processes import mean_count
from ssnan.models.pyramid import at_features, resize_to_finest, resized, sorted_scales


class Context(nn.Module):
    """Near and far context of every position of a deep map.

    A 1 × 1 convolution, residual 3 × 3 convolutions with dilations, the addition of the mean over the photo, and
    a 1 × 1 convolution. The last one is initially zero, so that adding the module leaves a trained network's scores
    unchanged.

    Args:
        channels: channels of the input.
        width: channels inside.
        out: channels of the result.
        dilations: dilations of the 3 × 3 convolutions.
    """

    def __init__(self, channels: int, width: int, out: int, dilations: Sequence[int] = (1, 3, 2)) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.around = nn.ModuleList(nn.Conv2d(width, width, 3, padding=rate, dilation=rate) for rate in dilations)
        self.everywhere = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, out, 1)
        for layer in (self.reduce, *self.around, self.everywhere):
            assert isinstance(layer, nn.Conv2d)
            start_for_relu(layer)
        for tensor in self.out.parameters():
            nn.init.zeros_(tensor)

    def forward(self, deep: Float[Tensor, "b c h w"]) -> Float[Tensor, "b out h w"]:
        found = self.reduce(deep).relu()
        for layer in self.around:
            found = found + layer(found).relu()
        whole = self.everywhere(found.mean(dim=(2, 3), keepdim=True)).relu()
        return self.out(found + whole)


class SSNANWithContext(ParsingNetwork):
    """SS-NAN whose scales share the context of the coarsest scale.

    Args:
        num_classes: classes C, including the background.
        backbone: backbone of all scales.
        scales: sizes relative to the input.
        aggregation: fuses the scales; the paper's :class:`NeuralAggregation` by default.
        context_width: channels inside :class:`Context`.
        context_dilations: dilations of its 3 × 3 convolutions.
        limb_weight: weight of the loss on limbs; 0 for none.
        agreement: lets classes agree among pixels that are near in place and colour; None leaves the scores alone.

    Raises:
        ValueError: the scales are invalid, the aggregation was built for other maps, or the agreement has ids beyond
            the classes.
    """

    LIMBS = ("left-arm", "right-arm", "left-leg", "right-leg")
    """Classes of the limb head, after the background."""

    def __init__(
        self,
        num_classes: int,
        backbone: EdgeBackbone,
        scales: Sequence[float] = (0.5, 1.0),
        aggregation: Aggregation | None = None,
        context_width: int = 256,
        context_dilations: Sequence[int] = (1, 3, 2),
        limb_weight: float = 0.5,
        agreement: MeanField | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scales = sorted_scales(scales)
        self.backbone = backbone
        self.context = Context(backbone.deep.in_channels, context_width, backbone.deep.out_channels, context_dilations)
        self.classifier = classifier(backbone.channels, num_classes, 3)
        self.aggregation = aggregation or NeuralAggregation(num_classes, len(self.scales))
        self.aggregation.check_built_for(num_classes, len(self.scales))
        if agreement is not None and (beyond := [id for id in agreement.members if not 0 <= id < num_classes]):
            raise ValueError(f"agreement.groups: expected ids from 0 to {num_classes - 1}, got {beyond}")
        self.limbs = classifier(backbone.deep.out_channels, 1 + len(self.LIMBS), 1)
        self.limb_weight = limb_weight
        self.agreement = agreement

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        """Parse normalised photos; scores have the stride of the finest scale. In training, ``extra["limbs"]`` has the
        scores of the limb head for every scale, (B, 5, h, w) each."""
        return self.parsed(images)[0]

    def parsed(self, images: Float[Tensor, "b 3 H W"]) -> tuple[ParsingOutput, Tensor, list[Tensor]]:
        """The result of :meth:`forward`, and what further heads may read: the deepest map of the coarsest scale, and
        the features of every scale before the edges, coarsest first."""
        pyramids = [self.backbone.maps(resized(images, scale)) for scale in self.scales]
        context = self.context(pyramids[0][-1])
        features = [self.backbone.joined(fine, deep, context) for _, fine, deep in pyramids]
        edged = [self.backbone.with_edges(maps[0], of_scale) for maps, of_scale in zip(pyramids, features, strict=True)]
        maps = resize_to_finest([self.classifier(of_scale) for of_scale in edged])
        fused, weights = self.aggregation(maps)
        if self.agreement is not None:
            fused = self.agreement(fused, images)
        limbs = {"limbs": [self.limbs(of_scale) for of_scale in features]} if self.training else {}
        return ParsingOutput(fused, tuple(maps), weights, limbs), pyramids[0][-1], features

    def auxiliary_losses(
        self, output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet
    ) -> dict[str, Float[Tensor, ""]]:
        """If the data have keypoints and the label set has limbs of these names, ``limb_weight`` times the
        cross-entropy of the limb head, averaged over scales."""
        known = [name for name in self.LIMBS if name in label_set.classes]
        if not self.limb_weight or not known or "limbs" not in batch:
            return {"limbs": no_loss(output.extra["limbs"])}
        rows = torch.full((256,), -1, device=batch["limbs"].device)
        rows[0] = 0
        for name in known:
            rows[label_set.classes.index(name)] = 1 + self.LIMBS.index(name)
        losses = []
        for scores in output.extra["limbs"]:
            # The head has a stride of 8 or more, so compare it with labels at its own positions.
            target = rows[at_features(batch["limbs"], *scores.shape[-2:]).long()]
            per_pixel = cross_entropy(scores.float(), target, ignore_index=-1, reduction="none")
            losses.append(per_pixel.sum() / mean_count((target >= 0).sum()))
        return {"limbs": self.limb_weight * torch.stack(losses).mean()}

    def new_parameters(self) -> list[nn.Parameter]:
        fast = (self.classifier, self.aggregation, self.context, self.limbs)
        return [*(p for part in fast for p in part.parameters()), *self.backbone.new_parameters()]

    def load_backbone(self, weights: str) -> None:
        self.backbone.load(weights)
