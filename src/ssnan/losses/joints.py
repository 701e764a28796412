"""The joint structure of a parsing map, and the distance between two of them (Section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from ssnan.labels import LabelSet, Region

FOUND_SHARE = 0.1
"""Share of the ground truth's mass that a prediction must give a region to have found its joint."""

PRESENT_MASS = 1e-3
"""Share of the picture a predicted region must cover to be there where the ground truth has none."""

JointCenters = Literal["soft", "decided"]
"""What a predicted joint is the centre of.

- ``soft``: a region's probability. A little of it everywhere else moves the centre as a wrong limb does.
- ``decided``: the pixels whose likeliest class is in the region, with the gradient of ``soft`` (straight through).
"""


class Centers(NamedTuple):
    """Centres (B, J, 2) as (y, x), 0 at the first row or column of pixels and 1 at the last, and mass
    (B, J), the share of the picture that each region covers. A region without mass is absent and its
    centre meaningless: ask ``present`` of a ground truth and :func:`found` of a prediction first."""

    position: Float[Tensor, "b j 2"]
    mass: Float[Tensor, "b j"]

    @property
    def present(self) -> Bool[Tensor, "b j"]:
        """Regions with any mass: for label maps, those that cover a single pixel at least."""
        return self.mass > 0


def soft_centers(
    probabilities: Float[Tensor, "b c h w"],
    valid: Bool[Tensor, "b h w"],
    regions: Sequence[Region],
) -> Centers:
    """Centre of mass of every region's probability; differentiable in ``probabilities``.

    m_k(i) = Σ_{c ∈ R_k} p(i, c) · valid(i);  J_k = Σ_i i·m_k(i) / Σ_i m_k(i).
    """
    mass = torch.stack([probabilities[:, list(region.class_ids)].sum(dim=1) for region in regions], dim=1)
    return centers_of(mass * valid.unsqueeze(1))


def region_beliefs(scores: Float[Tensor, "b c h w"], centers: JointCenters) -> Float[Tensor, "b c h w"]:
    """Of scores, how much of every pixel counts for each class when centres are taken, 0..1; sums to one over c."""
    probabilities = scores.softmax(dim=1)
    if centers == "soft":
        return probabilities
    decided = one_hot(scores.argmax(dim=1), scores.shape[1]).movedim(3, 1)
    return decided + probabilities - probabilities.detach()


def centers_of(mass: Float[Tensor, "b j h w"]) -> Centers:
    """Centre of mass of every map."""
    _, _, height, width = mass.shape
    total = mass.sum(dim=(2, 3))
    rows = torch.linspace(0, 1, height, device=mass.device, dtype=mass.dtype)
    columns = torch.linspace(0, 1, width, device=mass.device, dtype=mass.dtype)
    safe = total.clamp_min(torch.finfo(mass.dtype).tiny)
    position = torch.stack(
        [(mass.sum(dim=3) * rows).sum(dim=2) / safe, (mass.sum(dim=2) * columns).sum(dim=2) / safe], dim=2
    )
    return Centers(position, total / (height * width))


def label_centers(labels: Int[Tensor, "b h w"], label_set: LabelSet) -> tuple[Centers, Bool[Tensor, "b h w"]]:
    """Centres of a label map, and the pixels that count in them and should in a prediction's: those of
    which it is known whether they belong to a region, and to which. A set of classes is known where it
    lies in one region, or has nothing to do with any."""
    regions = torch.zeros(len(label_set), len(label_set.regions))
    for index, region in enumerate(label_set.regions):
        regions[list(region.class_ids), index] = 1
    member = torch.from_numpy(label_set.membership).float()
    inside = member @ regions / member.sum(dim=1, keepdim=True)  # NaN for values that mean nothing
    known = ((inside == 0) | (inside == 1)).all(dim=1)
    mass = torch.where(known[:, None], inside, 0).to(labels.device)[labels].movedim(3, 1)
    return centers_of(mass), known.to(labels.device)[labels]


def found(predicted: Centers, truth: Centers) -> Bool[Tensor, "b j"]:
    """Predicted joints that are there. Where the ground truth has the region, it takes a tenth of its
    mass, since a shoe is small and a coat is large; where it has none, a thousandth of the picture."""
    return predicted.mass >= torch.where(truth.present, FOUND_SHARE * truth.mass, PRESENT_MASS)


def joint_distance(
    predicted: Centers, truth: Centers, missing_penalty: float = 0.5, count: int | None = None
) -> Float[Tensor, " b"]:
    """L_joint of Eq. 4, one value an image: 1 / (2 N) Σ ‖J^p − J^gt‖².

    N counts the regions that the ground truth has, or is ``count`` where that is given: Eq. 4 divides by nine
    whatever the picture shows. A region of which the prediction has no mass has no distance and costs
    ``missing_penalty``; one that it has :func:`found` costs its squared distance, at most the penalty; in between the
    cost goes from the one to the other in a straight line. So a lost region never costs more by coming back. One
    that only the prediction has is left out; an image without any region costs 0.
    """
    squared = (predicted.position - truth.position).square().sum(dim=2).clamp(max=missing_penalty)
    squared = squared.where(predicted.present, torch.zeros_like(squared))
    enough = torch.where(truth.present, FOUND_SHARE * truth.mass, PRESENT_MASS)
    there = (predicted.mass / enough).clamp(max=1)
    error = there * squared + (1 - there) * missing_penalty
    error = error.where(truth.present, torch.zeros_like(error))
    return error.sum(dim=1) / (2 * (truth.present.sum(dim=1).clamp_min(1) if count is None else count))


def heatmap_distance(
    predicted: Centers, truth: Centers, cells: int = 41, sigma: float = 1.0, weight: float = 0.05
) -> Float[Tensor, " b"]:
    """The joint term of Attention+SSL's Caffe code, one value an image, yet with a gradient:
    e = ``weight`` · ½ · Σ_k ‖H_k^p − H_k^gt‖², with a Gaussian of standard deviation ``sigma`` cells
    and peak 4 / (σ √(2π)) around every joint that is present, on ``cells`` × ``cells`` points (the
    41 × 41 features of a 321 × 321 picture).

    A joint costs nothing at its place, about 0.4 a few cells away, and 0.2 where one side lacks it.
    """
    prediction = _heatmaps(predicted.position, found(predicted, truth), cells, sigma)
    difference = prediction - _heatmaps(truth.position, truth.present, cells, sigma)
    return weight * 0.5 * difference.square().sum(dim=(1, 2, 3))


def _heatmaps(
    position: Float[Tensor, "b j 2"], present: Bool[Tensor, "b j"], cells: int, sigma: float
) -> Float[Tensor, "b j n n"]:
    position = position * (cells - 1)
    points = torch.arange(cells, device=position.device, dtype=position.dtype)
    y, x = ((-((points - position[:, :, axis, None]) ** 2) / (2 * sigma**2)).exp() for axis in (0, 1))
    peak = 4 / (sigma * (2 * torch.pi) ** 0.5)
    return peak * y[:, :, :, None] * x[:, :, None, :] * present[:, :, None, None]
