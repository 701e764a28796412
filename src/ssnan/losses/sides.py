"""Beyond the paper: a limb is decided as a whole. Eq. 4 feels an exchanged arm by where the centres of both lie; this
asks each true limb, pixel by pixel together, for the name of its own side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from ssnan.losses.processes import mean_over_processes


def side_loss(
    scores: Float[Tensor, "b c H W"], labels: Int[Tensor, "b H W"], pairs: Sequence[tuple[int, int]]
) -> Float[Tensor, ""]:
    """−log p(own side) of every limb, averaged over the limbs of the batch; 0 where it has none.

    A limb is all pixels of one class of a pair that trade places in a mirror; its log-odds are the mean, over
    these pixels, of the class's score less that of the other side. One limb, one decision: a shoe counts as much as a
    pair of trousers' worth of leg, and a limb that is right on the whole gets next to no gradient, however hard its
    outline is.

    Args:
        scores: before the softmax, at the labels' size.
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
    # Of processes with one limb and three, the mean over processes is to be the mean over four limbs.
    count = mean_over_processes(scores.new_tensor(len(together)))
    return together.sum() / count.clamp_min(torch.finfo(count.dtype).tiny)
