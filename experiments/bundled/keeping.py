"""Training on without forgetting: a callback that also keeps the scores close to those of an earlier checkpoint.

The distance is the Kullback-Leibler divergence from the earlier model's classes to the trained model's, averaged over
all pixels, with or without labels (Li and Hoiem, "Learning without Forgetting", 2016, on scores of a whole photo). The
earlier model sees photos before :mod:`.lighting` changes them, so the trained one learns to ignore the light.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import kl_div

from experiments.bundled.lighting import PLAIN
from ssnan.labels import LabelSet
from ssnan.models import ParsingOutput
from ssnan.training.checkpoint import read_task


def divergence(scores: Float[Tensor, "b c h w"], earlier: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """KL(earlier ‖ scores) of the classes in nats, averaged over pixels."""
    of_each = kl_div(scores.log_softmax(dim=1), earlier.log_softmax(dim=1), reduction="none", log_target=True)
    return of_each.sum(dim=1).mean()


class Keeping(Callback):
    """Adds ``weight`` times :func:`divergence` to the loss, as ``kept``.

    Args:
        checkpoint: the earlier model, with the same classes, stride and preprocessing.
        weight: weight of the term.

    Raises:
        ssnan.parsing.card.ModelError: the file is missing or not a checkpoint.
    """

    def __init__(self, checkpoint: Path, weight: float = 1.0) -> None:
        self.earlier = read_task(checkpoint).network.requires_grad_(False)
        self.weight = weight

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.earlier.to(pl_module.device, memory_format=torch.channels_last)
        network = pl_module.network
        own = network.auxiliary_losses

        def with_kept(output: ParsingOutput, batch: Mapping[str, Tensor], label_set: LabelSet) -> dict[str, Tensor]:
            images = batch.get(PLAIN, batch["images"]).contiguous(memory_format=torch.channels_last)
            with torch.no_grad(), torch.autocast(pl_module.device.type, torch.bfloat16):
                earlier = self.earlier(images).scores
            kept = divergence(output.scores.float(), earlier.float())
            return own(output, batch, label_set) | {"kept": self.weight * kept}

        network.auxiliary_losses = with_kept
