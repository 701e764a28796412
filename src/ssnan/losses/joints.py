"""The joints of a label map, and the distance between two sets of joints (Section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from ssnan.labels import LabelSet, Region

FOUND_SHARE = 0.1
"""The share of a region's true mass that a prediction needs to find its joint."""

PRESENT_MASS = 1e-3
"""The share of the photo that a predicted region needs to be present if the ground truth has none."""

JointCenters = Literal["soft", "decided"]
"""The definition of a predicted joint.

- ``soft``: the centre of a region's probability. Low probabilities far away move it like a wrong limb.
- ``decided``: the centre of the pixels whose predicted class is in the region, with the gradient of ``soft``
  (straight through).
"""


class Centers(NamedTuple):
    """Centres (B, J, 2) as (y, x), 0 at the first row or column of pixels and 1 at the last, and mass (B, J), the share
    of the photo that each region covers. A region without mass is absent, and its centre has no meaning. Check
    ``present`` for a ground truth and :func:`found` for a prediction."""

    position: Float[Tensor, "b j 2"]
    mass: Float[Tensor, "b j"]

    @property
    def present(self) -> Bool[Tensor, "b j"]:
        """Whether each region has any mass, which means at least one pixel in a label map."""
        return self.mass > 0


def soft_centers(
    probabilities: Float[Tensor, "b c h w"],
    valid: Bool[Tensor, "b h w"],
    regions: Sequence[Region],
) -> Centers:
    """The centre of mass of every region's probability; differentiable in ``probabilities``.

    m_k(i) = Σ_{c ∈ R_k} p(i, c) · valid(i);  J_k = Σ_i i·m_k(i) / Σ_i m_k(i).
    """
    mass = torch.stack([probabilities[:, list(region.class_ids)].sum(dim=1) for region in regions], dim=1)
    return centers_of(mass * valid.unsqueeze(1))


def region_beliefs(scores: Float[Tensor, "b c h w"], centers: JointCenters) -> Float[Tensor, "b c h w"]:
    """The mass of every pixel for each class in the centres, 0..1; sums to one over c."""
    probabilities = scores.softmax(dim=1)
    if centers == "soft":
        return probabilities
    decided = one_hot(scores.argmax(dim=1), scores.shape[1]).movedim(3, 1)
    return decided + probabilities - probabilities.detach()


def centers_of(mass: Float[Tensor, "b j h w"]) -> Centers:
    """The centre of mass of every map."""
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
    """The centres of a label map, and the pixels that count in them and in the prediction: those with a known region,
    or known to be in none. The region of a set of classes is known if all members are in one region, or in none."""
    regions = torch.zeros(len(label_set), len(label_set.regions))
    for index, region in enumerate(label_set.regions):
        regions[list(region.class_ids), index] = 1
    member = torch.from_numpy(label_set.membership).float()
    inside = member @ regions / member.sum(dim=1, keepdim=True)  # NaN for values without classes
    known = ((inside == 0) | (inside == 1)).all(dim=1)
    mass = torch.where(known[:, None], inside, 0).to(labels.device)[labels].movedim(3, 1)
    return centers_of(mass), known.to(labels.device)[labels]


def found(predicted: Centers, truth: Centers) -> Bool[Tensor, "b j"]:
    """Whether each joint is found in the prediction. This takes a tenth of the region's true mass, because regions
    differ in size, or a thousandth of the photo if the ground truth has no such region."""
    return predicted.mass >= torch.where(truth.present, FOUND_SHARE * truth.mass, PRESENT_MASS)


def joint_distance(
    predicted: Centers,
    truth: Centers,
    missing_penalty: float = 0.5,
    count: int | None = None,
    sides: tuple[int, int] = (1, 1),
) -> Float[Tensor, " b"]:
    """L_joint of Eq. 4, one value per photo: 1 / (2 N) Σ ‖J^p − J^gt‖².

    N is the number of regions in the ground truth, or ``count`` if given; Eq. 4 always divides by nine. A region
    without predicted mass costs ``missing_penalty``. A :func:`found` region costs its squared distance, at most the
    penalty. In between, the cost is interpolated linearly, so a lost region never costs more by coming back. Regions
    that only the prediction has are ignored. A photo without regions costs 0.

    ``sides`` are the height and width of the photo in the unit of the distance. ``missing_penalty`` is for sides of 1,
    and grows with their mean square.
    """
    height, width = sides
    missing_penalty = missing_penalty * (height**2 + width**2) / 2
    y, x = (predicted.position - truth.position).unbind(dim=2)
    squared = ((height * y).square() + (width * x).square()).clamp(max=missing_penalty)
    squared = squared.where(predicted.present, torch.zeros_like(squared))
    enough = torch.where(truth.present, FOUND_SHARE * truth.mass, PRESENT_MASS)
    there = (predicted.mass / enough).clamp(max=1)
    error = there * squared + (1 - there) * missing_penalty
    error = error.where(truth.present, torch.zeros_like(error))
    return error.sum(dim=1) / (2 * (truth.present.sum(dim=1).clamp_min(1) if count is None else count))


def heatmap_distance(
    predicted: Centers, truth: Centers, cells: int = 41, sigma: float = 1.0, weight: float = 0.05
) -> Float[Tensor, " b"]:
    """The joint term of Attention+SSL's Caffe code, one value per photo, but with a gradient:
    e = ``weight`` · ½ · Σ_k ‖H_k^p − H_k^gt‖². Every present joint is a Gaussian of standard deviation ``sigma`` cells
    and peak 4 / (σ √(2π)) on ``cells`` × ``cells`` points (the 41 × 41 features of a 321 × 321 photo).

    A joint costs 0 at its place, about 0.4 a few cells away, and 0.2 without a gradient if only one side has it.
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
