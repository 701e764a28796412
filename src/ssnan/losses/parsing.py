"""L_parsing, L_joint and L_SS-NAN (Section 3.3, Eq. 4), on the fused map and on every scale."""

from __future__ import annotations

from enum import StrEnum

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from ssnan.labels import LabelSet
from ssnan.losses.joints import joint_distance, label_centers, soft_centers
from ssnan.models.output import ParsingOutput


class JointForm(StrEnum):
    """How the joint distance meets the cross-entropy, image by image."""

    NONE = "none"
    """L_parsing alone: the first training step."""
    WEIGHTED = "weighted"
    """L_parsing · (1 + λ L_joint): the default of the second step. The cross-entropy keeps its
    gradient where the joints are perfect or absent."""
    PRODUCT = "product"
    """L_parsing · L_joint: Eq. 4 to the letter."""
    PRODUCT_DETACHED = "product_detached"
    """Eq. 4 with no gradient through the joints, as the released codes have it."""


class ParsingLoss:
    """The training criterion.

    Args:
        label_set: gives the joint regions and the ignored value.
        joint_form: how the joint distance enters.
        joint_weight: λ of ``JointForm.WEIGHTED``.
        detach_centers: no gradient through the predicted centres.
        deep_supervision: the same loss on every scale's scores, added with weight 1.
        stride: compare at every ``stride``-th pixel of the labels; the released codes use the
            network's own stride. Larger is faster, 1 is exact.
    """

    def __init__(
        self,
        label_set: LabelSet,
        joint_form: JointForm = JointForm.NONE,
        joint_weight: float = 10.0,
        detach_centers: bool = False,
        deep_supervision: bool = True,
        stride: int = 1,
    ) -> None:
        self.label_set = label_set
        self.joint_form = JointForm(joint_form)
        self.joint_weight = joint_weight
        self.detach_centers = detach_centers
        self.deep_supervision = deep_supervision
        self.stride = stride

    def __call__(self, output: ParsingOutput, labels: Int[Tensor, "b H W"]) -> dict[str, Float[Tensor, ""]]:
        """Named losses; ``loss`` is the one to minimise, the others are its parts.

        Scores are resized to the labels' size, over ``stride``, before anything is compared.
        """
        labels = labels[:, :: self.stride, :: self.stride]
        losses = {f"fused/{name}": value for name, value in self._of_one_map(output.scores, labels).items()}
        total = losses["fused/loss"]
        if self.deep_supervision:
            for index, scores in enumerate(output.scale_scores):
                terms = self._of_one_map(scores, labels)
                losses |= {f"scale{index}/{name}": value.detach() for name, value in terms.items()}
                total = total + terms["loss"]
        return {"loss": total} | {name: value.detach() for name, value in losses.items()}

    def _of_one_map(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        scores = interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=True)
        ignore = self.label_set.ignore_index
        valid = labels != ignore
        per_pixel = cross_entropy(scores, labels, ignore_index=ignore, reduction="none")
        parsing = per_pixel.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp_min(1)
        if self.joint_form is JointForm.NONE:
            return {"parsing": parsing.mean(), "loss": parsing.mean()}

        predicted = soft_centers(scores.softmax(dim=1), valid, self.label_set.regions)
        truth = label_centers(labels, len(self.label_set), self.label_set.regions)
        joint = joint_distance(predicted, truth)
        if self.detach_centers or self.joint_form is JointForm.PRODUCT_DETACHED:
            joint = joint.detach()
        weight = 1 + self.joint_weight * joint if self.joint_form is JointForm.WEIGHTED else joint
        return {"parsing": parsing.mean(), "joint": joint.mean(), "loss": (parsing * weight).mean()}
