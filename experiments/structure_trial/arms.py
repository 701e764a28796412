"""The arms of the trial: what is added to the base's loss, and how much of the gradient it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from experiments.loop import Loss, plain
from ssnan.labels import LabelSet
from ssnan.losses import JointLoss, LossOptions, ParsingLoss
from ssnan.losses.criterion import at_labels
from ssnan.losses.joints import Centers
from ssnan.losses.norms import same_step
from ssnan.models import ParsingOutput

SHARES = (0.3, 1.0, 0.1)
"""Shares of the gradient: the norm of the added term's gradient relative to that of the cross-entropy. The first one
decides."""


class View(NamedTuple):
    """What an added term sees of a batch: one map, and the truth at the same size.

    Attributes:
        scores: before the softmax.
        limbs: see :func:`ssnan.data.keypoints.limb_map`; None if no source has keypoints.
        parsing: the cross-entropy of each photo.
        label_set: of the labels.
    """

    scores: Float[Tensor, "b c h w"]
    labels: Int[Tensor, "b h w"]
    limbs: Int[Tensor, "b h w"] | None
    parsing: Float[Tensor, " b"]
    label_set: LabelSet


Term = Callable[[View], Float[Tensor, " b"]]
"""A loss of each photo."""


def same_again(view: View) -> Float[Tensor, " b"]:
    """The cross-entropy once more: the step of the other arms, and nothing new in it."""
    return view.parsing


def rows_and_columns(view: View) -> Float[Tensor, " b"]:
    """Squared error of the distribution of every class over rows and over columns, after CDGNet (CVPR 2022): its pixels
    in each row, relative to the fullest row of the truth, without the background. CDGNet predicts these distributions
    with heads of its own; here they are those of the map. Classes that the truth lacks have distance 0 to nothing."""
    classes = len(view.label_set)
    known = (view.labels < classes).unsqueeze(1)
    truth = torch.nn.functional.one_hot(view.labels.clamp(max=classes - 1), classes).movedim(3, 1) * known
    believed = view.scores.softmax(dim=1) * known
    losses = []
    for axis in (3, 2):
        true, found = truth.sum(dim=axis)[:, 1:].float(), believed.sum(dim=axis)[:, 1:]
        fullest = true.amax(dim=2, keepdim=True)
        losses.append(((found - true) / fullest.clamp_min(1) * (fullest > 0)).square().mean(dim=(1, 2)))
    return torch.stack(losses).sum(dim=0)


def sides_from_keypoints(view: View) -> Float[Tensor, " b"]:
    """−log of the probability of the correct side, given the limb, over the pixels of limbs. The sides are those of
    people's keypoints, on clothed limbs too; without keypoints, those of bare limbs in the labels."""
    if view.limbs is None:
        return view.parsing * 0
    names = view.label_set.classes
    log_odds = {
        kind: _log_belief(view, [f"left-{part}" for part in parts])
        - _log_belief(view, [f"right-{part}" for part in parts])
        for kind, parts in {"arm": ["arm"], "leg": ["leg", "shoe"]}.items()
    }
    total, pixels = view.parsing.new_zeros(len(view.parsing)), view.parsing.new_zeros(len(view.parsing))
    for side, sign in (("left", 1), ("right", -1)):
        for kind, odds in log_odds.items():
            limb = view.limbs == names.index(f"{side}-{kind}")
            total = total + (torch.nn.functional.softplus(-sign * odds) * limb).sum(dim=(1, 2))
            pixels = pixels + limb.sum(dim=(1, 2))
    return total / pixels.clamp_min(1)


def _log_belief(view: View, names: list[str]) -> Float[Tensor, "b h w"]:
    return view.scores[:, [view.label_set.classes.index(name) for name in names]].logsumexp(dim=1)


class OtherPhoto(ParsingLoss):
    """The control: every photo gets the joints of another photo of the batch. What does no better than this is not
    structure."""

    def joint_targets(self, labels: Int[Tensor, "b h w"]) -> tuple[Centers, Bool[Tensor, "b h w"]]:
        truth, known = super().joint_targets(labels)
        return exchanged(truth), known


def exchanged(truth: Centers) -> Centers:
    """The joints of each photo at the places of the same joints of another photo: the one that shares most joints with
    it, the next one in the batch of several. A joint that the other photo lacks is left out, so no photo is asked for a
    part that it does not show."""
    count = len(truth.mass)
    present = truth.present.float()
    number = torch.arange(count, device=present.device)
    behind = (number - number[:, None]) % count  # 0 for itself
    partner = (present @ present.T - behind / count).masked_fill(behind == 0, -torch.inf).argmax(dim=1)
    both = truth.present & truth.present[partner]
    return Centers(truth.position[partner], truth.mass * both)


class WithTerm:
    """The base's loss, and a term with ``share`` of the gradient of the cross-entropy, on every map."""

    def __init__(self, base: ParsingLoss, term: Term, share: float) -> None:
        self.base = base
        self.term = term
        self.share = share
        self.running: dict[int, Tensor] = {}

    def __call__(self, output: ParsingOutput, batch: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        total = self.base(output, batch["labels"])["loss"]
        every = self.base.options.stride
        labels, limbs = (
            None if full is None else full[:, ::every, ::every] for full in (batch["labels"], batch.get("limbs"))
        )
        assert labels is not None
        for number, own in enumerate((output.scores, *output.scale_scores)):
            scores = at_labels(own, labels)
            parsing = self.base.parsing_loss(scores, labels)
            added = self.term(View(scores, labels, limbs, parsing, self.base.label_set))
            ratio, self.running[number] = same_step(own, parsing, added, self.running.get(number))
            total = total + self.share * ratio * added.mean()
        return total


class Arm(NamedTuple):
    """What one arm adds.

    Attributes:
        joint: the package's joint loss.
        criterion: of the base and ``joint``.
        term: added instead, with a share.
    """

    joint: JointLoss = JointLoss()
    criterion: type[ParsingLoss] = ParsingLoss
    term: Term | None = None

    @property
    def shared(self) -> bool:
        """Whether the arm has a share, rather than a step of its own."""
        return self.term is not None or self.joint.form == "weighted"

    def loss(self, label_set: LabelSet, options: LossOptions, share: float) -> Loss:
        """The loss of a training; options are the base's."""
        joint = replace(self.joint, weight=share) if self.joint.form == "weighted" else self.joint
        base = self.criterion(label_set, replace(options, joint=joint))
        return plain(base) if self.term is None else WithTerm(base, self.term, share)


PRODUCT = JointLoss("product", unit="gradient")
WEIGHTED = JointLoss("weighted", unit="gradient")

NONE, SAME_STEP, OTHER = "none", "same step", "joints of another photo"
ARMS = {
    NONE: Arm(),
    SAME_STEP: Arm(term=same_again),
    "product (Eq. 4)": Arm(PRODUCT),
    "product, another photo": Arm(PRODUCT, OtherPhoto),
    "weighted": Arm(WEIGHTED),
    "decided": Arm(replace(WEIGHTED, centers="decided")),
    "heatmap": Arm(replace(WEIGHTED, measure="heatmap")),
    OTHER: Arm(WEIGHTED, OtherPhoto),
    "rows and columns": Arm(term=rows_and_columns),
    "keypoints": Arm(term=sides_from_keypoints),
}

DECIDING = (NONE, SAME_STEP, "weighted", OTHER, "product (Eq. 4)", "product, another photo", "keypoints")
"""The arms that the verdict on claim 2 needs."""
