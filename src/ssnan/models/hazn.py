"""HAZN: Xia et al., Zoom better to see clearer: Human and object parsing with hierarchical auto-zoom
net, ECCV 2016.

https://arxiv.org/abs/1511.06881

We follow the paper's abstract and descriptions by others: two auto-zoom nets in a row, the first at the scale of whole
people, the second at that of their parts.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import label
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, grid_sample, smooth_l1_loss

from ssnan.labels import LabelSet
from ssnan.models.backbone import Backbone
from ssnan.models.heads import LargeFOV, classifier, load_fc67, untrained_parameters
from ssnan.models.output import ParsingNetwork, ParsingOutput
from ssnan.models.processes import mean_count
from ssnan.models.pyramid import at_features

Boxes = Float[Tensor, "b n 4"]
"""Top, left, bottom, right, from 0 at the first row and column of the photo to 1 at the last."""

MOST_PEOPLE = 8
"""The most connected regions of a photo with target boxes."""


class Estimate(NamedTuple):
    """The output of one net for a photo or a region.

    Attributes:
        scores: class scores.
        boxes: for every position, the box of its person or part, relative to the region.
        confidence: logit that the position belongs to a person or part to zoom to.
    """

    scores: Float[Tensor, "b c h w"]
    boxes: Float[Tensor, "b 4 h w"]
    confidence: Float[Tensor, "b h w"]


class PartNet(nn.Module):
    """DeepLab-LargeFOV."""

    def __init__(self, num_classes: int, backbone: Backbone, hidden: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = LargeFOV(backbone.channels, hidden)
        self.classifier = classifier(hidden, num_classes, 1)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        scores: Tensor = self.classifier(self.head(self.backbone(images)))
        return scores


class ZoomNet(PartNet):
    """DeepLab-LargeFOV that also estimates a box to zoom to at every position."""

    def __init__(self, num_classes: int, backbone: Backbone, hidden: int) -> None:
        super().__init__(num_classes, backbone, hidden)
        self.region = classifier(hidden, 5, 1)

    def estimate(self, images: Float[Tensor, "b 3 H W"]) -> Estimate:
        features = self.head(self.backbone(images))
        region = self.region(features)
        _, _, height, width = region.shape
        rows = positions(region, 2).view(1, height, 1)
        columns = positions(region, 3).view(1, 1, width)
        # Positive distances to the four sides, initially about an eighth of the photo.
        up, left, down, right = nn.functional.softplus(region[:, :4] - 2).unbind(dim=1)
        boxes = torch.stack([rows - up, columns - left, rows + down, columns + right], dim=1)
        return Estimate(self.classifier(features), boxes, region[:, 4])


class HAZN(ParsingNetwork):
    """Parse the photo, zoom to the people and parse them again, zoom to their parts and parse those, and merge the
    scores by confidence.

    The scores of a zoomed region get its confidence c as weight, and the earlier scores 1 − c. So a region with
    confidence 1 replaces them.

    Args:
        num_classes: classes C, including the background.
        backbone: VGG-16 at output stride 8 in the paper; each of the three nets has its own copy.
        people, parts: number of regions to zoom to in each stage.
        zoom: height and width of a zoomed region.
        hidden: channels of fc6 and fc7.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone,
        people: int = 1,
        parts: int = 4,
        zoom: tuple[int, int] = (257, 257),
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.people = people
        self.parts = parts
        self.zoom = zoom
        self.image_net = ZoomNet(num_classes, backbone, hidden)
        self.object_net = ZoomNet(num_classes, copy.deepcopy(backbone), hidden)
        self.part_net = PartNet(num_classes, copy.deepcopy(backbone), hidden)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> ParsingOutput:
        """Parse normalised photos; the maps of the first two stages are also supervised."""
        whole = self.image_net.estimate(images)
        people, sure = choose(whole, self.people)
        closer = self.object_net.estimate(self._zoomed(images, people))
        second = merged(whole.scores, closer.scores, people, sure)

        parts, certain = choose(closer, self.parts)
        parts = inside(people.flatten(0, 1), parts)
        batch = images.shape[0]  # len() would fix the batch size of an exported network
        parts = parts.reshape(batch, -1, 4)
        closest = self.part_net(self._zoomed(images, parts))
        third = merged(second, closest, parts, certain.reshape(batch, -1))
        extra = {"people": people, "whole": whole, "closer": closer}
        return ParsingOutput(third, (whole.scores, second), extra=extra)

    def auxiliary_losses(
        self, output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet
    ) -> dict[str, Float[Tensor, ""]]:
        """Losses on the boxes and confidences of both zoom stages. Their targets are the boxes of connected regions for
        people, and those of the joints' regions for parts.

        Raises:
            ValueError: the label set has no joints.
        """
        if not label_set.regions:
            raise ValueError(
                f"HAZN zooms to the regions of joints, and label set {label_set.name!r} has none; expected at least "
                "one in dataset.yaml, such as joints: {head: [hair, face]}"
            )
        labels, people = batch["labels"], output.extra["people"]
        person = torch.from_numpy(label_set.person).to(labels.device)[labels]
        losses = {"zoom/people": region_loss(output.extra["whole"], connected(person))}
        masks = torch.stack([torch.isin(labels, labels.new_tensor(r.class_ids)) for r in label_set.regions], dim=1)
        looked_at = zoomed(masks.float(), people, self.zoom, "nearest") > 0.5
        return losses | {"zoom/parts": region_loss(output.extra["closer"], looked_at)}

    def new_parameters(self) -> list[nn.Parameter]:
        backbones = {
            id(p) for net in (self.image_net, self.object_net, self.part_net) for p in net.backbone.parameters()
        }
        return [parameter for parameter in untrained_parameters(self) if id(parameter) not in backbones]

    def load_backbone(self, weights: str) -> None:
        for net in (self.image_net, self.object_net, self.part_net):
            load_fc67(net, net.backbone.load(weights))

    def _zoomed(self, images: Tensor, boxes: Boxes) -> Tensor:
        return zoomed(images, boxes, self.zoom, "bilinear")


EXCLUDED = -1e4
"""The confidence, before the sigmoid, of a position that overlaps a chosen one."""


def choose(estimate: Estimate, count: int) -> tuple[Boxes, Float[Tensor, "b n"]]:
    """The ``count`` most confident different boxes, and their confidence 0..1.

    After each choice, positions whose boxes overlap the chosen one by more than half are excluded. Confidences have a
    gradient, boxes have none. A box has at least a tenth of the photo's sides. If no different box is left, the rest
    has confidence 0.
    """
    boxes = estimate.boxes.detach().flatten(2).transpose(1, 2)
    center, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp(0.1, 1.0) / 2
    boxes = torch.cat([(center - half).clamp(0.0, 0.9), (center + half).clamp(0.1, 1.0)], dim=2)
    logits = estimate.confidence.flatten(1)
    remaining = logits.detach()
    chosen, sure = [], []
    for _ in range(count):
        best = remaining.argmax(dim=1, keepdim=True)
        left = remaining.gather(1, best) > EXCLUDED
        box = boxes.gather(1, best[..., None].expand(-1, -1, 4))
        chosen.append(box)
        sure.append(logits.gather(1, best).sigmoid() * left)
        remaining = remaining.where(overlap(boxes, box) <= 0.5, EXCLUDED)
    return torch.cat(chosen, dim=1), torch.cat(sure, dim=1)


def positions(maps: Tensor, axis: int) -> Float[Tensor, " n"]:
    """Rows (axis 2) or columns (axis 3) of maps, from 0 at the first to 1 at the last."""
    # linspace would fix the input size of an exported network.
    count = maps.shape[axis]
    return torch.arange(count, device=maps.device, dtype=torch.float32) / (count - 1)


def overlap(boxes: Boxes, one: Float[Tensor, "b 1 4"]) -> Float[Tensor, "b n"]:
    """Intersection over union of every box with ``one``."""
    top_left = torch.maximum(boxes[..., :2], one[..., :2])
    bottom_right = torch.minimum(boxes[..., 2:], one[..., 2:])
    common = (bottom_right - top_left).clamp_min(0.0).prod(dim=2)
    areas = [(some[..., 2:] - some[..., :2]).clamp_min(0.0).prod(dim=2) for some in (boxes, one)]
    return common / (areas[0] + areas[1] - common).clamp_min(1e-6)


def inside(outer: Float[Tensor, "b 4"], boxes: Boxes) -> Boxes:
    """Convert boxes relative to ``outer`` regions to coordinates of the photo."""
    origin, size = outer[:, None, :2], outer[:, None, 2:] - outer[:, None, :2]
    return torch.cat([origin + boxes[..., :2] * size, origin + boxes[..., 2:] * size], dim=2)


def zoomed(maps: Float[Tensor, "b c h w"], boxes: Boxes, size: tuple[int, int], mode: str) -> Float[Tensor, "bn c H W"]:
    """Resize every box of every photo to ``size``; the result is ordered by photo."""
    repeated = maps.repeat_interleave(boxes.shape[1], dim=0)
    top, left, bottom, right = boxes.flatten(0, 1)[..., None].unbind(dim=1)
    down, across = (torch.linspace(0, 1, side, device=boxes.device) for side in size)
    # Not affine_grid, because autocast would compute it in 16 bits, too few for the pixels of a photo.
    grid = grid_of(top + down * (bottom - top), left + across * (right - left))
    return grid_sample(repeated, grid, mode=mode, align_corners=True)


def grid_of(y: Float[Tensor, "n h"], x: Float[Tensor, "n w"]) -> Float[Tensor, "n h w 2"]:
    """The grid for ``grid_sample`` of rows and columns, each from 0 at the first to 1 at the last: x before y, from −1
    to 1."""
    rows, columns = torch.broadcast_tensors(y[:, :, None], x[:, None])
    return 2 * torch.stack([columns, rows], dim=3) - 1


def merged(
    scores: Float[Tensor, "b c h w"],
    closer: Float[Tensor, "bn c H W"],
    boxes: Boxes,
    sure: Float[Tensor, "b n"],
) -> Float[Tensor, "b c h w"]:
    """The weighted average of ``scores`` and the scores of zoomed regions at their boxes. The weight of a region is its
    confidence; that of ``scores`` is the product of 1 − confidence."""
    batch, classes, height, width = scores.shape
    rows = positions(scores, 2)
    columns = positions(scores, 3)
    top, left, bottom, right = (side[..., None] for side in boxes.unbind(dim=2))
    y, x = (rows - top) / (bottom - top), (columns - left) / (right - left)
    within = ((y >= 0) & (y <= 1)).unsqueeze(3) & ((x >= 0) & (x <= 1)).unsqueeze(2)
    grid = grid_of(y.flatten(0, 1), x.flatten(0, 1))
    pasted = grid_sample(closer, grid, align_corners=True).reshape(batch, -1, classes, height, width)
    weight = (sure[..., None, None] * within).unsqueeze(2)
    left = (1.0 - weight).prod(dim=1)  # the sum with all weights is at least 1
    return (left * scores + (weight * pasted).sum(dim=1)) / (left + weight.sum(dim=1))


def connected(person: Bool[Tensor, "b H W"], most: int = MOST_PEOPLE) -> Bool[Tensor, "b p H W"]:
    """The connected regions of a mask, largest first, at most ``most``; a photo with fewer gets empty masks.

    Labels do not separate people, so a region is one person or several who touch.
    """
    pieces = torch.zeros(len(person), most, *person.shape[1:], dtype=torch.bool)
    for mask, of_photo in zip(person.cpu().numpy(), pieces, strict=True):
        numbered, _ = label(mask)
        sizes = np.bincount(numbered.ravel())[1:]
        for piece, index in zip(of_photo, np.argsort(-sizes, kind="stable"), strict=False):
            piece.copy_(torch.from_numpy(numbered == index + 1))
    return pieces.to(person.device)


def region_loss(estimate: Estimate, masks: Bool[Tensor, "b r H W"]) -> Float[Tensor, ""]:
    """Smooth L1 on the boxes of positions inside a region, and cross-entropy on the confidence of all positions."""
    size = estimate.confidence.shape[1:]
    rows = positions(masks, 2)
    columns = positions(masks, 3)
    y, x = masks.any(dim=3), masks.any(dim=2)
    truth = torch.stack(
        [
            torch.where(y, rows, 1.0).amin(dim=2),
            torch.where(x, columns, 1.0).amin(dim=2),
            torch.where(y, rows, 0.0).amax(dim=2),
            torch.where(x, columns, 0.0).amax(dim=2),
        ],
        dim=2,
    )
    member = at_features(masks.flatten(0, 1), *size).unflatten(0, masks.shape[:2]).float()
    regions = member.sum(dim=1)
    inside_any = (regions > 0).float()
    confidence = binary_cross_entropy_with_logits(estimate.confidence.float(), inside_any)
    # Joints may share classes, so a position of several regions has the mean of their boxes.
    target = torch.einsum("brf,brhw->bfhw", truth, member) / regions.clamp_min(1)[:, None]
    error = smooth_l1_loss(estimate.boxes.float(), target, reduction="none", beta=0.1).sum(dim=1) * inside_any
    return confidence + error.sum() / mean_count(inside_any.sum())
