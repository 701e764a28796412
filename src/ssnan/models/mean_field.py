"""Pixels that are near in place and colour agree on a class: mean-field steps of a dense conditional random field
(Krähenbühl and Koltun, https://arxiv.org/abs/1210.5644), as layers of a network (Zheng et al.,
https://arxiv.org/abs/1502.03240).

The kind of a garment and the side of a limb are decided at every pixel, so a suit or a leg can come out in patches.
Here each pixel asks the others which of these classes they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ssnan.models.pyramid import enlarged, resized

APART = 4
"""Positions of the scores between those that hear each other, an even number."""

FLOOR = 0.01
"""Added to the share of a class among a pixel's neighbours, so that a sure pixel can be alone."""

LEAST = 1e-6
"""A pixel that hears less than this, because it is like no other, keeps its probabilities."""

TINY = 1e-30
"""Added to probabilities that may be zero."""


class MeanField(nn.Module):
    """Redistribute probability within groups of classes; this has no weights to train.

    A pixel hears every other pixel with the weight exp(−½ d²), where d² adds squared differences of place and of
    colour. In every group, the shares of the classes among what it hears multiply its own probabilities; together, the
    classes of a group keep their probability, and classes without a group keep theirs. Only the averages around every
    fourth position hear each other, and the positions between take interpolated factors; so the arithmetic is small.

    Args:
        groups: ids of the classes that agree among themselves, such as garments; a class is in one group at most.
        distance: standard deviation of place, in pixels of the input.
        color: standard deviation of colour, in units of the normalised input.
        steps: mean-field steps.
        stride: pixels between neighbouring scores.

    Raises:
        ValueError: a class is in several groups.
    """

    together: Tensor

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        distance: float = 56.0,
        color: float = 1.3,
        steps: int = 2,
        stride: int = 4,
    ) -> None:
        super().__init__()
        self.groups = [list(group) for group in groups]
        self.members = [id for group in self.groups for id in group]
        if twice := sorted({id for id in self.members if self.members.count(id) > 1}):
            raise ValueError(f"groups: expected each class in one group, got {twice} in several")
        number_of = torch.tensor([number for number, group in enumerate(self.groups) for _ in group])
        self.register_buffer("together", (number_of == number_of[:, None]).float(), persistent=False)
        self.distance = distance
        self.color = color
        self.steps = steps
        self.stride = stride

    def forward(self, scores: Float[Tensor, "b c h w"], images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        """Scores before the softmax, from scores before the softmax and the normalised photos."""
        with torch.autocast(scores.device.type, enabled=False):  # in 16 bits, TINY is 0 and ratios are NaN
            coarse = averaged(scores.float(), APART)
            factors = self.factors(coarse.flatten(2), self.kernel(coarse, images.float()))
            gained = factors.log().reshape(-1, len(self.members), *coarse.shape[2:])
        last = len(self.members)  # the channel of zeros, for classes without a group
        place = [self.members.index(id) if id in self.members else last for id in range(scores.shape[1])]
        gained = torch.cat([gained, torch.zeros_like(gained[:, :1])], dim=1)
        return scores + enlarged(gained.index_select(1, torch.tensor(place, device=scores.device)), scores)

    def factors(self, scores: Float[Tensor, "b c n"], kernel: Float[Tensor, "b n n"]) -> Float[Tensor, "b m n"]:
        """Factors of the probabilities of the groups' classes at every position, from the positions' scores and what
        each of them hears of each."""
        own = scores.softmax(1).index_select(1, torch.tensor(self.members, device=scores.device))
        of_group = self.total(own) + TINY
        said, factors = own, torch.ones_like(own)
        for _ in range(self.steps):
            heard = said @ kernel
            shares = heard / self.total(heard).clamp_min(LEAST) + FLOOR
            factors = shares * of_group / (self.total(own * shares) + TINY)
            said = own * factors
        return factors

    def total(self, values: Float[Tensor, "b m n"]) -> Float[Tensor, "b m n"]:
        """The sum over the classes of its group, for each class."""
        return self.together @ values

    def kernel(self, scores: Tensor, images: Tensor) -> Float[Tensor, "b heard hearing"]:
        """Weights exp(−½ d²) of all positions of ``scores`` for each of them."""
        height, width = scores.shape[-2:]
        # Half the size is enough for a mean, and a network with a scale of ½ has the photo in this size.
        apart = APART * self.stride
        colors = enlarged(averaged(resized(images, 0.5), apart // 2), scores) / self.color
        step = apart / self.distance
        rows, columns = (torch.arange(side, device=scores.device) * step for side in (height, width))
        place = torch.stack([rows[:, None].expand(height, width), columns.expand(height, width)])
        place = place - place.mean(dim=(1, 2), keepdim=True)  # small numbers, for engines that compute in bf16
        positions = torch.cat([colors, place.expand(colors.shape[0], -1, -1, -1)], dim=1).flatten(2)
        # −½ |a − b|² = a·b − ½ |a|² − ½ |b|², as one product
        ones, squares = torch.ones_like(positions[:, :1]), minus_half_square(positions)
        heard, hearing = torch.cat([positions, squares, ones], dim=1), torch.cat([positions, ones, squares], dim=1)
        return (heard.transpose(1, 2) @ hearing).exp()


def minus_half_square(vectors: Float[Tensor, "b d n"]) -> Float[Tensor, "b 1 n"]:
    return -vectors.square().sum(1, keepdim=True) / 2


def averaged(maps: Float[Tensor, "b c h w"], apart: int) -> Tensor:
    """Averages around every ``apart``-th position, an even number."""
    return avg_pool2d(maps, apart + 1, apart, apart // 2, count_include_pad=False)
