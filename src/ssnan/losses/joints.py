"""The joint structure of a parsing map, and the distance between two of them (Section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssnan.labels import Region

PRESENT_MASS = 1e-3
"""Share of the picture's pixels a region must cover for its centre to mean anything."""


class Centers(NamedTuple):
    """Centres (B, J, 2) as (y, x), 0 at the first row or column of pixels and 1 at the last, and
    presence (B, J). Where a region is absent its centre is meaningless: read ``present`` first."""

    position: Float[Tensor, "b j 2"]
    present: Bool[Tensor, "b j"]


def soft_centers(
    probabilities: Float[Tensor, "b c h w"],
    valid: Bool[Tensor, "b h w"],
    regions: Sequence[Region],
) -> Centers:
    """Centre of mass of every region's probability; differentiable in ``probabilities``.

    m_k(i) = Σ_{c ∈ R_k} p(i, c) · valid(i);  J_k = Σ_i i·m_k(i) / Σ_i m_k(i).
    """
    _, _, height, width = probabilities.shape
    mass = torch.stack(
        [probabilities[:, list(region.class_ids)].sum(dim=1) for region in regions], dim=1
    ) * valid.unsqueeze(1)
    total = mass.sum(dim=(2, 3))
    rows = torch.linspace(0, 1, height, device=mass.device, dtype=mass.dtype)
    columns = torch.linspace(0, 1, width, device=mass.device, dtype=mass.dtype)
    safe = total.clamp_min(torch.finfo(mass.dtype).eps)
    position = torch.stack(
        [(mass.sum(dim=3) * rows).sum(dim=2) / safe, (mass.sum(dim=2) * columns).sum(dim=2) / safe], dim=2
    )
    return Centers(position, total >= PRESENT_MASS * height * width)


def label_centers(labels: Int[Tensor, "b h w"], num_classes: int, regions: Sequence[Region]) -> Centers:
    """Centres of a label map; pixels outside ``0 .. num_classes - 1`` belong to no region.

    A region that covers a single pixel is present.
    """
    valid = (labels >= 0) & (labels < num_classes)
    one_hot = torch.nn.functional.one_hot(labels.where(valid, 0), num_classes).movedim(3, 1)
    centers = soft_centers(one_hot.float(), valid, regions)
    members = torch.stack([one_hot[:, list(region.class_ids)].sum(dim=1) * valid for region in regions], dim=1).sum(
        dim=(2, 3)
    )
    return Centers(centers.position, members > 0)


def joint_distance(predicted: Centers, truth: Centers, missing_penalty: float = 0.5) -> Float[Tensor, " b"]:
    """L_joint of Eq. 4, one value an image: 1 / (2 N) Σ ‖J^p − J^gt‖².

    N counts the regions that the ground truth has. A region that only the ground truth has costs
    ``missing_penalty`` in place of its squared distance; one that only the prediction has is left
    out; an image without any region costs 0.
    """
    squared = (predicted.position - truth.position).square().sum(dim=2)
    error = torch.where(predicted.present, squared, torch.full_like(squared, missing_penalty))
    error = error.where(truth.present, torch.zeros_like(error))
    return error.sum(dim=1) / (2 * truth.present.sum(dim=1).clamp_min(1))


def heatmap_distance(
    predicted: Centers, truth: Centers, cells: int = 41, sigma: float = 1.0, weight: float = 0.05
) -> Float[Tensor, " b"]:
    """The joint term of Attention+SSL's Caffe code, one value an image, yet with a gradient:
    e = ``weight`` · ½ · Σ_k ‖H_k^p − H_k^gt‖², with a Gaussian of standard deviation ``sigma`` cells
    and peak 4 / (σ √(2π)) around every joint that is present, on ``cells`` × ``cells`` points (the
    41 × 41 features of a 321 × 321 picture).

    A joint costs nothing at its place, about 0.4 a few cells away, and 0.2 where one side lacks it.
    """
    difference = _heatmaps(predicted, cells, sigma) - _heatmaps(truth, cells, sigma)
    return weight * 0.5 * difference.square().sum(dim=(1, 2, 3))


def _heatmaps(centers: Centers, cells: int, sigma: float) -> Float[Tensor, "b j n n"]:
    position = centers.position * (cells - 1)
    points = torch.arange(cells, device=position.device, dtype=position.dtype)
    y, x = ((-((points - position[:, :, axis, None]) ** 2) / (2 * sigma**2)).exp() for axis in (0, 1))
    peak = 4 / (sigma * (2 * torch.pi) ** 0.5)
    return peak * y[:, :, :, None] * x[:, :, None, :] * centers.present[:, :, None, None]
