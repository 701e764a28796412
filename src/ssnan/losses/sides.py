"""A loss on the sides of whole limbs, which is not in the paper. Eq. 4 sees swapped arms only in their centres; this
loss compares the side of each true limb over all its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from ssnan.models.processes import mean_count


def side_loss(
    scores: Float[Tensor, "b c H W"], labels: Int[Tensor, "b H W"], pairs: Sequence[tuple[int, int]]
) -> Float[Tensor, ""]:
    """−log p(correct side) of every limb, averaged over the limbs of the batch; 0 without limbs.

    A limb is all pixels of one class of a flip pair. Its log-odds are the mean over these pixels of the class's score
    minus that of the other side. So a shoe has the weight of a leg, and a limb that is mostly correct gets almost no
    gradient.

    Args:
        scores: scores before the softmax, at the size of the labels.
        labels: class ids; other values belong to no limb.
        pairs: :attr:`ssnan.labels.LabelSet.flip_pairs`.
    """
    losses = []
    for pair in pairs:
        for own, other in (pair, pair[::-1]):
            limb = labels == own
            odds = ((scores[:, own] - scores[:, other]) * limb).sum(dim=(1, 2)) / limb.sum(dim=(1, 2)).clamp_min(1)
            losses.append(softplus(-odds)[limb.any(dim=(1, 2))])
    together = torch.cat([scores[:0].flatten(), *losses])
    return together.sum() / mean_count(scores.new_tensor(len(together)))
