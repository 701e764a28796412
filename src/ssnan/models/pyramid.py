"""Resize photos to several scales, and their maps to one size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import interpolate


def sorted_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """``scales`` from coarsest to finest.

    Raises:
        ValueError: there are none, or they are not different and positive.
    """
    if not scales or len(set(scales)) != len(scales) or min(scales) <= 0:
        raise ValueError(f"scales: expected different positive numbers, got {list(scales)}")
    return tuple(sorted(scales))


def resized(images: Float[Tensor, "b c H W"], scale: float) -> Tensor:
    """Resize ``images`` to sides (side − 1) · scale + 1 with aligned corners: 321 becomes 241 at ¾ and 161 at ½.

    Feature i of every scale is exactly on pixel ``stride · i / scale`` if the sides of every scale are a multiple of
    the stride plus one, as these are.
    """
    if scale == 1:
        return images
    # Integer arithmetic for the exporter: scale = n / d, and (side − 1) · scale + 1 rounded.
    n, d = Fraction(scale).limit_denominator(100).as_integer_ratio()
    height, width = (((side - 1) * n + d // 2) // d + 1 for side in images.shape[-2:])
    return interpolate(images, size=(height, width), mode="bilinear", align_corners=True)


def at_features(maps: Shaped[Tensor, "b H W"], height: int, width: int) -> Shaped[Tensor, "b h w"]:
    """The values of maps at the nearest pixel of each position of a feature map with aligned corners."""
    rows, columns = (
        torch.linspace(0, pixels - 1, cells, device=maps.device, dtype=torch.float64).round().long()
        for pixels, cells in zip(maps.shape[1:], (height, width), strict=True)
    )
    return maps[:, rows[:, None], columns]


def enlarged(features: Tensor, like: Tensor) -> Tensor:
    """Resize ``features`` to the height and width of ``like``, with aligned corners."""
    return interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=True)


def resize_to_finest(maps: Sequence[Tensor]) -> list[Tensor]:
    """Resize ``maps`` of several scales, the finest last, to the size of the finest."""
    return [*(enlarged(coarse, maps[-1]) for coarse in maps[:-1]), maps[-1]]
