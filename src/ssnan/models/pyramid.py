"""The picture at several sizes, and its maps back at one: what every Share-Net does."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate


def sorted_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """``scales`` coarsest first: their order in a configuration is of no consequence.

    Raises:
        ValueError: none, or not all different and positive.
    """
    if not scales or len(set(scales)) != len(scales) or min(scales) <= 0:
        raise ValueError(f"scales: expected different positive numbers, got {list(scales)}")
    return tuple(sorted(scales))


def resized(images: Float[Tensor, "b c H W"], scale: float) -> Tensor:
    """``images`` with sides (side − 1) · scale + 1, corners aligned: 321 becomes 241 at ¾ and 161 at ½.

    Feature i of every scale lies exactly on pixel ``stride · i / scale`` where every scale's sides
    are a multiple of the stride plus one, as those are.
    """
    if scale == 1:
        return images
    # Whole numbers throughout, for the exporter: scale = n / d, and (side − 1) scale + 1 rounded.
    n, d = Fraction(scale).limit_denominator(100).as_integer_ratio()
    height, width = (((side - 1) * n + d // 2) // d + 1 for side in images.shape[-2:])
    return interpolate(images, size=(height, width), mode="bilinear", align_corners=True)


def resize_to_finest(maps: Sequence[Tensor]) -> list[Tensor]:
    """``maps`` of several scales, the finest last, all at its size."""
    finest = maps[-1].shape[-2:]
    coarser = (interpolate(coarse, size=finest, mode="bilinear", align_corners=True) for coarse in maps[:-1])
    return [*coarser, maps[-1]]
