"""L_parsing, L_joint and L_SS-NAN (Section 3.3, Eq. 4), on the fused map and on every scale."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from ssnan.labels import FIRST_SET, LabelSet
from ssnan.losses.joints import (
    JointCenters,
    heatmap_distance,
    joint_distance,
    label_centers,
    region_beliefs,
    soft_centers,
)
from ssnan.losses.lovasz import lovasz_softmax
from ssnan.losses.processes import mean_over_processes, whole_batch
from ssnan.losses.sides import side_loss
from ssnan.models.output import ParsingOutput

JointForm = Literal["none", "weighted", "product", "product_detached"]
"""How the joint term meets the cross-entropy, image by image.

- ``none``: L_parsing alone, the first training step.
- ``weighted``: L_parsing · (1 + λ L_joint), the default of the second step. The cross-entropy keeps
  its gradient where the joints are perfect or absent.
- ``product``: L_parsing · L_joint, Eq. 4 to the letter.
- ``product_detached``: Eq. 4 with no gradient through the joints, as the released codes have it.
"""

JointMeasure = Literal["distance", "heatmap"]
"""L_joint as Eq. 4 has it, or by the heatmaps of Attention+SSL's code; see :mod:`ssnan.losses.joints`."""

JointUnit = Literal["own", "cells", "mean"]
"""What L_joint is counted in, and with it the step that ``product`` takes and what λ means.

- ``own``: the measure's. A distance is in sides of the picture, about 0.002 once a network has learned to parse, so
  that ``product`` goes 500 times slower than the cross-entropy alone.
- ``cells``: cells of the score map, some 1,000 times more.
- ``mean``: the mean of the batch, a constant to the gradient. ``product`` then only weighs the
  pictures against each other, and λ is the share that the joints have.
"""


class ParsingLoss:
    """The training criterion.

    Args:
        label_set: gives the joint regions and the ignored value.
        joint_form: how the joint distance enters.
        joint_weight: λ of the ``weighted`` form.
        joint_measure: how far two joint structures are apart.
        joint_unit: what it is counted in.
        joint_centers: what predicted joints are the centres of.
        detach_centers: no gradient through the predicted centres.
        class_weights: weight of every class in the cross-entropy, (C,); equal if None.
        deep_supervision: the same loss on every scale's scores, added with weight 1.
        iou_weight: of the fused map's Lovász-Softmax loss, see :mod:`ssnan.losses.lovasz`, which is added. Pixels
            that are known by a set of classes do not count in it.
        side_weight: of the fused map's :func:`ssnan.losses.sides.side_loss`, which is added.
        hardest: share of each picture's pixels that count in the cross-entropy, those where it is largest (online
            hard example mining); 1 for all.
        stride: compare at every ``stride``-th pixel of the labels; the released codes use the
            network's own stride. Larger is faster, 1 is exact.
    """

    def __init__(
        self,
        label_set: LabelSet,
        joint_form: JointForm = "none",
        joint_weight: float = 10.0,
        joint_measure: JointMeasure = "distance",
        joint_unit: JointUnit = "own",
        joint_centers: JointCenters = "soft",
        detach_centers: bool = False,
        class_weights: Float[Tensor, " c"] | None = None,
        deep_supervision: bool = True,
        iou_weight: float = 0.0,
        side_weight: float = 0.0,
        hardest: float = 1.0,
        stride: int = 1,
    ) -> None:
        if joint_measure == "heatmap" and joint_unit == "cells":
            raise ValueError("heatmaps are in cells already: expected joint_unit own or mean beside them, got cells")
        if not 0 < hardest <= 1:
            raise ValueError(f"hardest is a share of the pixels, above 0 and at most 1, got {hardest}")
        self.label_set = label_set
        self.joint_form = joint_form
        self.joint_weight = joint_weight
        self.joint_measure = joint_measure
        self.joint_unit = joint_unit
        self.joint_centers = joint_centers
        self.class_weights = class_weights
        self.detach_centers = detach_centers
        self.deep_supervision = deep_supervision
        self.iou_weight = iou_weight
        self.side_weight = side_weight
        self.hardest = hardest
        self.stride = stride

    def __call__(self, output: ParsingOutput, labels: Int[Tensor, "b H W"]) -> dict[str, Float[Tensor, ""]]:
        """Named losses; ``loss`` is the one to minimise, the others are its parts.

        Scores are resized to the labels' size, over ``stride``, before anything is compared.
        """
        labels = labels[:, :: self.stride, :: self.stride]
        losses = {f"fused/{name}": value for name, value in self._of_one_map(output.scores, labels).items()}
        total = losses["fused/loss"]
        if self.iou_weight:
            losses["fused/iou"] = self._iou(output.scores, labels)
            total = total + self.iou_weight * losses["fused/iou"]
        if self.side_weight:
            losses["fused/sides"] = side_loss(_at_labels(output.scores, labels), labels, self.label_set.flip_pairs)
            total = total + self.side_weight * losses["fused/sides"]
        if self.deep_supervision:
            for index, scores in enumerate(output.scale_scores):
                terms = self._of_one_map(scores, labels)
                losses |= {f"scale{index}/{name}": value.detach() for name, value in terms.items()}
                total = total + terms["loss"]
        return {"loss": total} | {name: value.detach() for name, value in losses.items()}

    def _of_one_map(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        cells = (scores.shape[2] - 1) * (scores.shape[3] - 1)
        scores = _at_labels(scores, labels)
        parsing = self._cross_entropy(scores, labels)
        if self.joint_form == "none":
            return {"parsing": parsing.mean(), "loss": parsing.mean()}

        truth, known = label_centers(labels, self.label_set)
        beliefs = region_beliefs(scores, self.joint_centers)
        predicted = soft_centers(beliefs, known, self.label_set.regions)
        joint = (joint_distance if self.joint_measure == "distance" else heatmap_distance)(predicted, truth)
        if self.joint_unit == "cells":
            joint = joint * cells
        elif self.joint_unit == "mean":
            joint = joint / mean_over_processes(joint.mean()).clamp_min(torch.finfo(joint.dtype).tiny)
        if self.detach_centers or self.joint_form == "product_detached":
            joint = joint.detach()
        weight = 1 + self.joint_weight * joint if self.joint_form == "weighted" else joint
        return {"parsing": parsing.mean(), "joint": joint.mean(), "loss": (parsing * weight).mean()}

    def _iou(self, scores: Tensor, labels: Tensor) -> Float[Tensor, ""]:
        probabilities = whole_batch(_at_labels(scores, labels).softmax(dim=1))
        labels = whole_batch(labels)
        return lovasz_softmax(probabilities, labels, labels < len(self.label_set))

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Float[Tensor, " b"]:
        """L_parsing of each image: the mean over its pixels that are not ignored, weighted by class.

        A pixel of a set of classes costs −log Σ p over its members, with their mean weight.
        """
        ignore = self.label_set.ignore_index
        member = torch.from_numpy(self.label_set.membership).to(scores.device)
        of_set = labels >= FIRST_SET
        of_set &= labels != ignore
        per_pixel = cross_entropy(scores, labels.where(~of_set, ignore), ignore_index=ignore, reduction="none")
        if of_set.any():
            several = scores.movedim(1, 3)[of_set]
            inside = several.masked_fill(~member[labels[of_set]], -torch.inf)
            per_pixel = per_pixel.masked_scatter(of_set, several.logsumexp(dim=1) - inside.logsumexp(dim=1))
        valid = labels != ignore
        if self.hardest < 1:
            counted = _hardest(per_pixel.detach().masked_fill(~valid, -1), self.hardest * valid.sum(dim=(1, 2)))
            per_pixel, valid = per_pixel * counted, valid & counted
        if self.class_weights is None:
            return per_pixel.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp_min(1)
        weights = member.to(scores) / member.sum(dim=1, keepdim=True).clamp_min(1) @ self.class_weights.to(scores)
        weights = weights[labels] * valid
        total = weights.sum(dim=(1, 2))
        return (weights * per_pixel).sum(dim=(1, 2)) / total.where(total > 0, 1)


def _hardest(losses: Float[Tensor, "b H W"], count: Float[Tensor, " b"]) -> Bool[Tensor, "b H W"]:
    """The ``count`` largest losses of each picture, rounded up."""
    rank = losses.flatten(1).argsort(dim=1, descending=True).argsort(dim=1)
    return (rank < count[:, None]).view_as(losses)


def _at_labels(scores: Tensor, labels: Tensor) -> Float[Tensor, "b c H W"]:
    return interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=True)
