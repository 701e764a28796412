"""L_parsing, L_joint and L_SS-NAN (Section 3.3, Eq. 4), for the fused map and every scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from ssnan.labels import FIRST_SET, LabelSet
from ssnan.losses.joints import (
    Centers,
    JointCenters,
    heatmap_distance,
    joint_distance,
    label_centers,
    region_beliefs,
    soft_centers,
)
from ssnan.losses.lovasz import lovasz_softmax
from ssnan.losses.norms import gradient_of, same_step
from ssnan.losses.sides import side_loss
from ssnan.models.output import ParsingOutput
from ssnan.models.processes import mean_over_processes, whole_batch

JointForm = Literal["none", "weighted", "product"]
"""The combination of joint loss and cross-entropy for each photo.

- ``none``: L_parsing, the first training step.
- ``weighted``: L_parsing · (1 + λ L_joint), the default of the second step. The cross-entropy keeps its gradient if the
  joints are perfect or absent.
- ``product``: L_parsing · L_joint, the form of Eq. 4. With unit ``cells``, count ``defined`` and ``decided`` centers,
  it is as close to Eq. 4 as we can read it.
"""

JointMeasure = Literal["distance", "heatmap"]
"""L_joint of Eq. 4, or the heatmaps of Attention+SSL's code, which have no gradient for a joint that only one side has;
see :mod:`ssnan.losses.joints`."""

JointUnit = Literal["own", "cells", "mean", "gradient"]
"""The unit of L_joint, which determines the step of ``product`` and the meaning of λ.

- ``own``: the unit of the measure. A distance is in squared sides of the photo, about 0.002 for a trained network
  (experiments/joint_loss), so the steps of ``product`` are 500 times smaller than those of the cross-entropy.
- ``cells``: squared cells of the score map, of which a side of 321 pixels has 40 at stride 8, so 1,600 times larger;
  coordinates "computed according to the dense predictions", as in Eq. 4.
- ``mean``: the mean of the batch, without gradient. ``product`` then only weights the photos relative to each other.
- ``gradient``: the unit in which L_parsing · L_joint has the gradient norm of the cross-entropy. Both norms are with
  respect to the scores and running means over the steps (:mod:`ssnan.losses.norms`). λ is then the joints' share of
  the step, and the steps of ``product`` are as long as those of the cross-entropy.
"""

JointCount = Literal["present", "defined"]
"""The divisor of the distance: the joints in the ground truth, or all joints of the label set as in Eq. 4 (nine in
LIP)."""


@dataclass(frozen=True)
class JointLoss:
    """Options of the joint loss.

    Attributes:
        form: combination with the cross-entropy, see :data:`ssnan.losses.JointForm`; ``none`` is the first step.
        weight: λ of the ``weighted`` form.
        measure: ``distance`` (Eq. 4) or ``heatmap``.
        unit: unit of the joint loss, see :data:`ssnan.losses.JointUnit`.
        count: divisor of the distance, see :data:`ssnan.losses.JointCount`.
        centers: ``soft`` (of probabilities) or ``decided``, see :data:`ssnan.losses.JointCenters`.
        detach_centers: whether to stop the gradient through predicted joints, as a public Keras version of SS-NAN does
            in its ``product``, and the Caffe code of Attention+SSL.

    Raises:
        ValueError: ``heatmap`` with ``cells``, or a weight below 0.
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
            raise ValueError("heatmaps are already in cells: expected unit own, mean or gradient, got cells")
        if self.weight < 0:
            raise ValueError(f"loss.joint.weight: expected a number of at least 0, got {self.weight}")


@dataclass(frozen=True)
class LossOptions:
    """Terms of the loss and their weights.

    Attributes:
        joint: the joint loss.
        deep_supervision: whether to add the same loss for every scale, with weight 1.
        iou_weight: weight of the Lovász-Softmax loss of the fused map, see :mod:`ssnan.losses.lovasz`; 0 in the paper.
            Pixels of sets of classes do not count in it.
        side_weight: weight of :func:`ssnan.losses.sides.side_loss` of the fused map, a loss on the sides of whole
            limbs; 0 in the paper.
        class_balancing: power of the median-frequency weights of classes: 0 for equal weights, 1 as in SegNet.
        stride: compare every ``stride``-th pixel of the labels; the Caffe code of Attention+SSL has the network's, 8.
            Larger is faster, 1 is exact. It divides the sides of a crop minus 1, so that the last pixel is compared
            too.

    Raises:
        ValueError: ``stride`` is below 1, or another number below 0.
    """

    joint: JointLoss = JointLoss()
    deep_supervision: bool = True
    iou_weight: float = 0.0
    side_weight: float = 0.0
    class_balancing: float = 0.0
    stride: int = 1

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"loss.stride: expected 1 or more, got {self.stride}")
        for name in ("iou_weight", "side_weight", "class_balancing"):
            if (value := getattr(self, name)) < 0:
                raise ValueError(f"loss.{name}: expected a number of at least 0, got {value}")


class ParsingLoss:
    """The training criterion.

    Args:
        label_set: has the regions and the ignored value.
        options: terms of the loss and their weights.
        class_weights: weight of every class in the cross-entropy, (C,); equal if None.

    Attributes:
        running: state of the joint loss's unit ``gradient`` for each map, by name; save it with the weights.

    Raises:
        ValueError: there is a joint loss, and the label set has no joints.
    """

    def __init__(
        self,
        label_set: LabelSet,
        options: LossOptions = LossOptions(),
        class_weights: Float[Tensor, " c"] | None = None,
    ) -> None:
        if options.joint.form != "none" and not label_set.regions:
            raise ValueError(
                f"loss.joint: label set {label_set.name!r} has no joints; expected at least one in dataset.yaml, "
                "such as joints: {head: [hair, face]}"
            )
        self.label_set = label_set
        self.options = options
        self.joint = options.joint
        self.class_weights = class_weights
        self.running: dict[str, Tensor] = {}

    def __call__(
        self, output: ParsingOutput, labels: Integer[Tensor, "b H W"], gradients: bool = False
    ) -> dict[str, Float[Tensor, ""]]:
        """Named losses: ``loss`` is the total to minimise, the others are its terms.

        Scores are resized to the size of the labels divided by ``stride`` before the comparison.

        Args:
            gradients: whether to add the gradient norm of each term with respect to its scores, under names that end in
                ``gradient``. This costs one backward pass through the losses, not the network.

        Raises:
            ValueError: ``stride`` does not divide the sides of the labels minus 1.
        """
        stride, (height, width) = self.options.stride, labels.shape[1:]
        if (height - 1) % stride or (width - 1) % stride:  # scores would lie beside their labels
            raise ValueError(
                f"loss.stride: expected a divisor of the sides of data.crop minus 1, {height - 1} and {width - 1}, got "
                f"{stride}; set data.crop to multiples of {stride} plus 1, or loss.stride to 1"
            )
        labels = labels[:, ::stride, ::stride].long()
        # In 16 bits, the squares of small gradients would be 0, and running means would stand still.
        fused = output.scores.float()
        maps = {"fused": fused}
        if self.options.deep_supervision:
            maps |= {f"scale{index}": scores.float() for index, scores in enumerate(output.scale_scores)}
        terms: dict[str, Tensor] = {}
        found: dict[str, Tensor] = {}
        for name, scores in maps.items():
            of_map, values = self._of_one_map(name, scores, labels)
            terms |= {f"{name}/{term}": value for term, value in of_map.items()}
            found |= {f"{name}/{value_of}": value for value_of, value in values.items()}
        if self.options.iou_weight:
            found["fused/iou"] = self._iou(fused, labels)
            terms["fused/iou"] = self.options.iou_weight * found["fused/iou"]
        if self.options.side_weight:
            found["fused/sides"] = side_loss(at_labels(fused, labels), labels, self.label_set.flip_pairs)
            terms["fused/sides"] = self.options.side_weight * found["fused/sides"]
        if gradients:
            for name, term in terms.items():
                found[f"{name}_gradient"] = gradient_of(term, maps[name.partition("/")[0]]).norm()
        total = torch.stack(list(terms.values())).sum()
        return {"loss": total} | {name: value.detach() for name, value in found.items()}

    def _of_one_map(self, name: str, scores: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The terms of the loss of one map, and values to report."""
        cells = (scores.shape[2] - 1, scores.shape[3] - 1)
        own, scores = scores, at_labels(scores, labels)
        parsing = self.parsing_loss(scores, labels)
        terms = {"parsing": parsing.mean()}
        if self.joint.form == "none":
            return terms, terms | {"loss": terms["parsing"]}

        joint = self._joint(scores, labels, cells if self.joint.unit == "cells" else (1, 1))
        if self.joint.unit == "mean":
            mean = mean_over_processes(joint.mean())
            joint = joint / mean.where(mean > 0, 1)  # a tiny divisor of photos without joints gives NaN gradients
        if self.joint.detach_centers:
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

    def _joint(self, scores: Tensor, labels: Tensor, sides: tuple[int, int]) -> Float[Tensor, " b"]:
        """L_joint of each photo, in the unit of the measure; for a distance, that of ``sides``, height and width."""
        truth, known = self.joint_targets(labels)
        beliefs = region_beliefs(scores, self.joint.centers)
        predicted = soft_centers(beliefs, known, self.label_set.regions)
        if self.joint.measure == "heatmap":
            return heatmap_distance(predicted, truth)
        count = len(self.label_set.regions) if self.joint.count == "defined" else None
        return joint_distance(predicted, truth, count=count, sides=sides)

    def joint_targets(self, labels: Int[Tensor, "b h w"]) -> tuple[Centers, Bool[Tensor, "b h w"]]:
        """The true joints, and the pixels that count, see :func:`ssnan.losses.joints.label_centers`. A subclass may
        set other targets."""
        return label_centers(labels, self.label_set)

    def _iou(self, scores: Tensor, labels: Tensor) -> Float[Tensor, ""]:
        probabilities = whole_batch(at_labels(scores, labels).softmax(dim=1))
        labels = whole_batch(labels)
        return lovasz_softmax(probabilities, labels, labels < len(self.label_set))

    def parsing_loss(self, scores: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"]) -> Float[Tensor, " b"]:
        """L_parsing of each photo: the mean over its pixels without the ignored value, weighted by class.

        A pixel of a set of classes costs −log Σ p over the members, with their mean weight.
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
        if self.class_weights is None:
            return per_pixel.sum(dim=(1, 2)) / (labels != ignore).sum(dim=(1, 2)).clamp_min(1)
        weights = member.to(scores) / member.sum(dim=1, keepdim=True).clamp_min(1) @ self.class_weights.to(scores)
        weights = weights[labels]  # 0 for the ignored value, which has no members
        total = weights.sum(dim=(1, 2))
        return (weights * per_pixel).sum(dim=(1, 2)) / total.where(total > 0, 1)


def at_labels(scores: Float[Tensor, "b c h w"], labels: Int[Tensor, "b H W"]) -> Float[Tensor, "b c H W"]:
    """Scores at the size of the labels."""
    return interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=True)
