"""L_parsing, L_joint and L_SS-NAN (Section 3.3, Eq. 4), on the fused map and on every scale."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from ssnan.labels import FIRST_SET, LabelSet
from ssnan.losses.joints import heatmap_distance, joint_distance, label_centers, soft_centers
from ssnan.losses.lovasz import lovasz_softmax
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


class ParsingLoss:
    """The training criterion.

    Args:
        label_set: gives the joint regions and the ignored value.
        joint_form: how the joint distance enters.
        joint_weight: λ of the ``weighted`` form.
        joint_measure: how far two joint structures are apart.
        detach_centers: no gradient through the predicted centres.
        class_weights: weight of every class in the cross-entropy, (C,); equal if None.
        deep_supervision: the same loss on every scale's scores, added with weight 1.
        iou_weight: of the fused map's Lovász-Softmax loss, see :mod:`ssnan.losses.lovasz`, which is added. Pixels
            that are known by a set of classes do not count in it.
        stride: compare at every ``stride``-th pixel of the labels; the released codes use the
            network's own stride. Larger is faster, 1 is exact.
    """

    def __init__(
        self,
        label_set: LabelSet,
        joint_form: JointForm = "none",
        joint_weight: float = 10.0,
        joint_measure: JointMeasure = "distance",
        detach_centers: bool = False,
        class_weights: Float[Tensor, " c"] | None = None,
        deep_supervision: bool = True,
        iou_weight: float = 0.0,
        stride: int = 1,
    ) -> None:
        self.label_set = label_set
        self.joint_form = joint_form
        self.joint_weight = joint_weight
        self.joint_measure = joint_measure
        self.class_weights = class_weights
        self.detach_centers = detach_centers
        self.deep_supervision = deep_supervision
        self.iou_weight = iou_weight
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
        if self.deep_supervision:
            for index, scores in enumerate(output.scale_scores):
                terms = self._of_one_map(scores, labels)
                losses |= {f"scale{index}/{name}": value.detach() for name, value in terms.items()}
                total = total + terms["loss"]
        return {"loss": total} | {name: value.detach() for name, value in losses.items()}

    def _of_one_map(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        scores = _at_labels(scores, labels)
        parsing = self._cross_entropy(scores, labels)
        if self.joint_form == "none":
            return {"parsing": parsing.mean(), "loss": parsing.mean()}

        truth, known = label_centers(labels, self.label_set)
        predicted = soft_centers(scores.softmax(dim=1), known, self.label_set.regions)
        joint = (joint_distance if self.joint_measure == "distance" else heatmap_distance)(predicted, truth)
        if self.detach_centers or self.joint_form == "product_detached":
            joint = joint.detach()
        weight = 1 + self.joint_weight * joint if self.joint_form == "weighted" else joint
        return {"parsing": parsing.mean(), "joint": joint.mean(), "loss": (parsing * weight).mean()}

    def _iou(self, scores: Tensor, labels: Tensor) -> Float[Tensor, ""]:
        judged = labels < len(self.label_set)
        return lovasz_softmax(_at_labels(scores, labels).softmax(dim=1), labels, judged)

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
        if self.class_weights is None:
            return per_pixel.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp_min(1)
        weights = member.to(scores) / member.sum(dim=1, keepdim=True).clamp_min(1) @ self.class_weights.to(scores)
        weights = weights[labels]
        total = weights.sum(dim=(1, 2))
        return (weights * per_pixel).sum(dim=(1, 2)) / total.where(total > 0, 1)


def _at_labels(scores: Tensor, labels: Tensor) -> Float[Tensor, "b c H W"]:
    return interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=True)
