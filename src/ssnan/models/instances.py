"""People told apart in the same pass, as in Panoptic-DeepLab (https://arxiv.org/abs/1911.10194): an instance head on
the shared features predicts the centre of every person and, at every position, the offset to the centre of its person.
:mod:`ssnan.scores.grouping` groups pixels by them.

The centre is that of the person's head: it is smaller than a body, seldom covered, and does not move if legs are cut
off. If no head is seen, it is the centre of what is seen of the person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ssnan.labels import UNKNOWN_PERSON, LabelSet
from ssnan.models.backbone import EdgeBackbone, start_for_relu
from ssnan.models.output import ParsingOutput, no_loss
from ssnan.models.processes import mean_count
from ssnan.models.pyramid import at_features, enlarged
from ssnan.models.ss_nan_context import SSNANWithContext

SPREAD, SPREAD_WITHOUT_HEAD = 0.25, 0.1
"""The standard deviation of a centre in the heatmap, relative to the square root of the head's cells, or of the
person's if no head is seen; at least 1 cell."""

LEAST_CELLS = 3
"""Smaller people have no centre, and their positions are unknown."""

LEAST_HEAD = 2
"""Cells of the smallest head that is seen."""

RARE = -2.2
"""The initial centre score, a probability of one tenth, so that the background does not dominate the first steps, as in
Focal Loss (https://arxiv.org/abs/1708.02002)."""


class InstanceHead(nn.Module):
    """From the features of all scales to centre score and offset, (B, 3, h, w), at the stride of the features of the
    finest scale.

    1 × 1 convolutions bring the deep map of the coarsest scale and the features of the coarsest and finest scale to
    ``width`` channels. The deep map passes residual 3 × 3 convolutions, so that every position sees a large head or
    body as a whole. The sum of all three passes more of them and a 1 × 1 convolution.

    Args:
        deep: channels of the deep map.
        features: channels of the features.
        width: channels inside.
        far: dilations of the 3 × 3 convolutions of the deep map.
        near: those of the sum.
    """

    def __init__(
        self, deep: int, features: int, width: int = 64, far: Sequence[int] = (1, 2), near: Sequence[int] = (1, 2, 4)
    ) -> None:
        super().__init__()
        self.deep = nn.Conv2d(deep, width, 1)
        self.coarse, self.fine = nn.Conv2d(features, width, 1), nn.Conv2d(features, width, 1)
        self.far, self.near = (
            nn.ModuleList(nn.Conv2d(width, width, 3, padding=rate, dilation=rate) for rate in rates)
            for rates in (far, near)
        )
        self.out = nn.Conv2d(width, 3, 1)
        for layer in (self.deep, self.coarse, self.fine, *self.far, *self.near):
            assert isinstance(layer, nn.Conv2d)
            start_for_relu(layer)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            assert self.out.bias is not None
            self.out.bias.copy_(torch.tensor([RARE, 0.0, 0.0]))

    def forward(self, deep: Float[Tensor, "b d p q"], features: Sequence[Tensor]) -> Float[Tensor, "b 3 h w"]:
        coarse, fine = features[0], features[-1]
        deep = self.deep(deep).relu()
        for layer in self.far:
            deep = deep + layer(deep).relu()
        found = (self.fine(fine) + enlarged(self.coarse(coarse), fine) + enlarged(deep, fine)).relu()
        for layer in self.near:
            found = found + layer(found).relu()
        return self.out(found)


class SSNANWithPeople(SSNANWithContext):
    """:class:`SSNANWithContext` with an :class:`InstanceHead`.

    Args:
        num_classes: classes C, including the background.
        backbone: backbone of all scales.
        people_width: channels inside the head.
        center_weight: weight of the loss on centres.
        offset_weight: weight of the loss on offsets.
        heads_only: whether everything but the head keeps its weights.
        options: the other arguments of :class:`SSNANWithContext`.
    """

    tells_apart = True

    def __init__(
        self,
        num_classes: int,
        backbone: EdgeBackbone,
        people_width: int = 64,
        center_weight: float = 1.0,
        offset_weight: float = 1.0,
        heads_only: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(num_classes, backbone, **options)
        self.center_weight = center_weight
        self.offset_weight = offset_weight
        self.heads_only = heads_only
        if heads_only:
            self.requires_grad_(False)
        self.people = InstanceHead(backbone.deep.in_channels, backbone.deep.out_channels, people_width)

    def train(self, mode: bool = True) -> SSNANWithPeople:
        """Set the mode of all modules; those that keep their weights keep their batch norms' statistics too."""
        super().train(mode)
        if self.heads_only:
            for part in self.children():
                part.train(mode and part is self.people)
        return self

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        """Parse normalised photos; ``people`` has centre scores and offsets, (B, 3, h, w)."""
        if self.training and self.heads_only:
            with torch.no_grad():
                output, deep, features = self.parsed(images)
        else:
            output, deep, features = self.parsed(images)
        return output._replace(people=self.people(deep, features))

    def auxiliary_losses(
        self, output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet
    ) -> dict[str, Float[Tensor, ""]]:
        """If the data tell people apart, the losses of centres and offsets, beside those of
        :class:`SSNANWithContext`."""
        losses = super().auxiliary_losses(output, batch, label_set)
        assert output.people is not None
        if "instances" not in batch:
            return losses | {"centers": no_loss([output.people])}
        maps = output.people.float()
        heads = heads_in(batch["labels"], label_set)
        targets = targets_of(batch["instances"], heads, maps.shape[-2], maps.shape[-1])
        return losses | {
            "centers": self.center_weight * center_loss(maps[:, 0], targets),
            "offsets": self.offset_weight * offset_loss(maps[:, 1:], targets),
        }

    def new_parameters(self) -> list[nn.Parameter]:
        return [*super().new_parameters(), *self.people.parameters()]


class Targets(NamedTuple):
    """What the head should return for a batch.

    Attributes:
        heat: 1 at the cell of a person's centre, less around it, and 0 elsewhere.
        offsets: from each cell to the centre of its person, (y, x) in cells.
        weight: 1 / √(cells of its person), and 0 where there is no known person.
        known: cells of a known person or of nobody.
    """

    heat: Float[Tensor, "b h w"]
    offsets: Float[Tensor, "b 2 h w"]
    weight: Float[Tensor, "b h w"]
    known: Bool[Tensor, "b h w"]


def heads_in(labels: Int[Tensor, "b H W"], label_set: LabelSet) -> Bool[Tensor, "b H W"]:
    """Where mask values are a class of the region ``head``; nowhere if the label set has none."""
    return torch.from_numpy(label_set.head).to(labels.device)[labels]


def targets_of(instances: Int[Tensor, "b H W"], heads: Bool[Tensor, "b H W"], height: int, width: int) -> Targets:
    """The targets of maps of people, in (``height``, ``width``) cells: 0 for nobody, and
    :data:`ssnan.labels.UNKNOWN_PERSON`. ``heads`` says where a head is."""
    cells, of_head = (at_features(maps, height, width).long() for maps in (instances, heads))
    rows = torch.arange(height, device=cells.device, dtype=torch.float32)[:, None].expand(height, width)
    columns = torch.arange(width, device=cells.device, dtype=torch.float32)[None].expand(height, width)
    places = torch.stack([rows, columns])
    heat = torch.zeros(cells.shape, device=cells.device)
    weight = torch.zeros_like(heat)
    offsets = torch.zeros(len(cells), 2, height, width, device=cells.device)
    known = cells != UNKNOWN_PERSON
    for photo, of_photo in enumerate(cells):
        for number in of_photo.unique().tolist():
            if number in (0, UNKNOWN_PERSON):
                continue
            mask = of_photo == number
            area = int(mask.sum())
            if area < LEAST_CELLS:
                known[photo] &= ~mask
                continue
            head = mask & (of_head[photo] > 0)
            if (of_it := int(head.sum())) >= LEAST_HEAD:
                center, spread = places[:, head].mean(dim=1), SPREAD * of_it**0.5
            else:
                center, spread = places[:, mask].mean(dim=1), SPREAD_WITHOUT_HEAD * area**0.5
            spread = max(1.0, spread)
            squared = (places - center.round()[:, None, None]).square().sum(dim=0)
            heat[photo] = torch.maximum(heat[photo], (-squared / (2 * spread**2)).exp())
            offsets[photo] = torch.where(mask, center[:, None, None] - places, offsets[photo])
            weight[photo][mask] = area**-0.5
    return Targets(heat, offsets, weight, known)


def center_loss(scores: Float[Tensor, "b h w"], targets: Targets) -> Float[Tensor, ""]:
    """The focal loss of CenterNet (https://arxiv.org/abs/1904.07850), per centre, where people are known or there is a
    centre."""
    centers = targets.heat == 1
    sure = scores.sigmoid()
    hit = (1 - sure).square() * logsigmoid(scores)
    miss = (1 - targets.heat).pow(4) * sure.square() * logsigmoid(-scores)
    total = torch.where(centers, hit, torch.where(targets.known, miss, torch.zeros_like(miss))).sum()
    return -total / mean_count(centers.sum())


def offset_loss(offsets: Float[Tensor, "b 2 h w"], targets: Targets) -> Float[Tensor, ""]:
    """The mean distance |Δy| + |Δx| between predicted and true centre over the cells of people, in units of √(cells of
    the person)."""
    distance = (offsets - targets.offsets).abs().sum(dim=1)
    return (targets.weight * distance).sum() / mean_count((targets.weight > 0).sum())
