"""L_parsing, L_joint and L_SS-NAN (Section 3.3, Eq. 4), on the fused map and on every scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
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
from ssnan.losses.norms import gradient_of, same_step
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

JointUnit = Literal["own", "cells", "mean", "gradient"]
"""What L_joint is counted in, and with it the step that ``product`` takes and what λ means.

- ``own``: the measure's. A distance is in sides of the picture, about 0.002 once a network has learned to parse, so
  that ``product`` goes 500 times slower than the cross-entropy alone.
- ``cells``: cells of the score map, some 1,000 times more; coordinates "computed according to the dense
  predictions", as Eq. 4 prints them.
- ``mean``: the mean of the batch, a constant to the gradient. ``product`` then only weighs the
  pictures against each other.
- ``gradient``: what gives L_parsing · L_joint a gradient as long as the cross-entropy's, both with respect to the
  scores and both a running mean over the steps (:mod:`ssnan.losses.norms`). λ is then the share of the step that the
  joints have, and ``product`` takes steps as long as the cross-entropy's.
"""

JointCount = Literal["present", "defined"]
"""How many joints the distance is divided by: those that the ground truth has, or, as in Eq. 4, all that the label set
defines, nine in LIP."""


@dataclass(frozen=True)
class JointLoss:
    """How the joint loss enters.

    Attributes:
        form: how it meets the cross-entropy; ``none`` is the first step.
        weight: λ of the ``weighted`` form.
        measure: how far two joint structures are apart: ``distance`` (Eq. 4) or ``heatmap``.
        unit: what it is counted in.
        count: what the distance is divided by.
        centers: ``soft`` (of probabilities) or ``decided``, see :data:`ssnan.losses.JointCenters`.
        detach_centers: no gradient through the predicted joints.

    Raises:
        ValueError: heatmaps are to be counted in cells.
    """

    form: JointForm = "none"
    weight: float = 10.0
    measure: JointMeasure = "distance"
    unit: JointUnit = "own"
    count: JointCount = "present"
    centers: JointCenters = "soft"
    detach_centers: bool = False

    def __post_init__(self) -> None:
        if self.measure == "heatmap" and self.unit == "cells":
            raise ValueError("heatmaps are in cells already: expected unit own, mean or gradient, got cells")


@dataclass(frozen=True)
class LossOptions:
    """What is compared, and what it weighs.

    Attributes:
        joint: the joint loss.
        deep_supervision: the same loss on every scale's scores, added with weight 1.
        iou_weight: of the fused map's Lovász-Softmax loss, see :mod:`ssnan.losses.lovasz`, which is added; 0 in the
            paper. Pixels that are known by a set of classes do not count in it.
        side_weight: of the fused map's :func:`ssnan.losses.sides.side_loss`, which asks whole limbs for their side; 0
            in the paper.
        class_balancing: lets rare classes count, by the power to which median-frequency weights are
            taken: 0 not at all, 1 as SegNet does.
        stride: compare at every ``stride``-th pixel of the labels; the released codes use the
            network's own stride. Larger is faster, 1 is exact.
    """

    joint: JointLoss = JointLoss()
    deep_supervision: bool = True
    iou_weight: float = 0.0
    side_weight: float = 0.0
    class_balancing: float = 0.0
    stride: int = 1


class ParsingLoss:
    """The training criterion.

    Args:
        label_set: gives the joint regions and the ignored value.
        options: what is compared, and what it weighs.
        class_weights: weight of every class in the cross-entropy, (C,); equal if None.

    Attributes:
        running: state of the joint loss's unit ``gradient`` for each map, by name. Save it with the weights.
    """

    def __init__(
        self,
        label_set: LabelSet,
        options: LossOptions = LossOptions(),
        class_weights: Float[Tensor, " c"] | None = None,
    ) -> None:
        self.label_set = label_set
        self.options = options
        self.joint = options.joint
        self.class_weights = class_weights
        self.running: dict[str, Tensor] = {}

    def __call__(
        self, output: ParsingOutput, labels: Int[Tensor, "b H W"], gradients: bool = False
    ) -> dict[str, Float[Tensor, ""]]:
        """Named losses; ``loss`` is the one to minimise, the others are its parts.

        Scores are resized to the labels' size, over ``stride``, before anything is compared.

        Args:
            gradients: add the norm of the gradient of each term of ``loss`` with respect to the scores that it judges,
                under names that end in ``gradient``. It costs one pass back through the losses, not the network.
        """
        labels = labels[:, :: self.options.stride, :: self.options.stride]
        maps = {"fused": output.scores}
        if self.options.deep_supervision:
            maps |= {f"scale{index}": scores for index, scores in enumerate(output.scale_scores)}
        terms: dict[str, Tensor] = {}
        found: dict[str, Tensor] = {}
        for name, scores in maps.items():
            of_map, values = self._of_one_map(name, scores, labels)
            terms |= {f"{name}/{term}": value for term, value in of_map.items()}
            found |= {f"{name}/{value_of}": value for value_of, value in values.items()}
        if self.options.iou_weight:
            found["fused/iou"] = self._iou(output.scores, labels)
            terms["fused/iou"] = self.options.iou_weight * found["fused/iou"]
        if self.options.side_weight:
            found["fused/sides"] = side_loss(_at_labels(output.scores, labels), labels, self.label_set.flip_pairs)
            terms["fused/sides"] = self.options.side_weight * found["fused/sides"]
        if gradients:
            for name, term in terms.items():
                found[f"{name}_gradient"] = gradient_of(term, maps[name.partition("/")[0]]).norm()
        total = torch.stack(list(terms.values())).sum()
        return {"loss": total} | {name: value.detach() for name, value in found.items()}

    def _of_one_map(self, name: str, scores: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The terms that add up to the loss of one map, and what is reported of it."""
        cells = (scores.shape[2] - 1) * (scores.shape[3] - 1)
        own, scores = scores, _at_labels(scores, labels)
        parsing = self._cross_entropy(scores, labels)
        terms = {"parsing": parsing.mean()}
        if self.joint.form == "none":
            return terms, terms | {"loss": terms["parsing"]}

        joint = self._joint(scores, labels)
        if self.joint.unit == "cells":
            joint = joint * cells
        elif self.joint.unit == "mean":
            joint = joint / mean_over_processes(joint.mean()).clamp_min(torch.finfo(joint.dtype).tiny)
        if self.joint.detach_centers or self.joint.form == "product_detached":
            joint = joint.detach()
        values = terms | {"joint": joint.mean()}
        together = parsing * joint
        if self.joint.unit == "gradient":
            ratio, self.running[name] = same_step(own, parsing, together, self.running.get(name))
            together = together * ratio
        if self.joint.form == "weighted":
            terms["joint"] = self.joint.weight * together.mean()
        else:
            terms = {"joint": together.mean()}
        return terms, values | {"loss": torch.stack(list(terms.values())).sum()}

    def _joint(self, scores: Tensor, labels: Tensor) -> Float[Tensor, " b"]:
        """L_joint of each image, in units of its own."""
        truth, known = label_centers(labels, self.label_set)
        beliefs = region_beliefs(scores, self.joint.centers)
        predicted = soft_centers(beliefs, known, self.label_set.regions)
        if self.joint.measure == "heatmap":
            return heatmap_distance(predicted, truth)
        count = len(self.label_set.regions) if self.joint.count == "defined" else None
        return joint_distance(predicted, truth, count=count)

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
        if self.class_weights is None:
            return per_pixel.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp_min(1)
        weights = member.to(scores) / member.sum(dim=1, keepdim=True).clamp_min(1) @ self.class_weights.to(scores)
        weights = weights[labels] * valid
        total = weights.sum(dim=(1, 2))
        return (weights * per_pixel).sum(dim=(1, 2)) / total.where(total > 0, 1)


def _at_labels(scores: Tensor, labels: Tensor) -> Float[Tensor, "b c H W"]:
    return interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=True)
