"""Callbacks of a training: photos in TensorBoard, and a stop within some minutes."""

from __future__ import annotations

import logging
import time

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from ssnan.training.task import ParsingTask

log = logging.getLogger("ssnan")


class ValidationPhotos(Callback):
    """Log the first ``count`` validation photos after every validation: photo, ground truth and prediction."""

    def __init__(self, count: int = 4) -> None:
        self.count = count

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or not isinstance(trainer.logger, TensorBoardLogger):
            return
        assert isinstance(pl_module, ParsingTask)
        assert trainer.datamodule is not None  # type: ignore[attr-defined]
        folder = trainer.datamodule.val_folder  # type: ignore[attr-defined]
        colors = pl_module.label_set.color_table
        for index in range(min(self.count, len(folder))):
            sample = folder[index]
            predicted = pl_module.scores_at_own_size(sample).argmax(dim=1)[0].cpu().numpy()
            row = np.concatenate([sample.image, colors[sample.labels], colors[predicted]], axis=1)
            trainer.logger.experiment.add_image(
                f"val/{sample.id}", row, global_step=trainer.global_step, dataformats="HWC"
            )


class StopAfter(Callback):
    """Stop at the end of the last epoch that ends within ``minutes``, if each takes as long as the one before; never if
    None. The minutes count from the creation of the callback, and at least one epoch is trained.

    Attributes:
        stopped: whether the run stopped early; the next call continues it.
    """

    def __init__(self, minutes: float | None) -> None:
        self.minutes = minutes
        self.stopped = False
        self.started = self.epoch_started = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch_started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.minutes is None or trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs:
            return
        now = time.monotonic()
        next_end = now + (now - self.epoch_started)
        # All processes must do the same.
        if trainer.strategy.broadcast(next_end - self.started > 60 * self.minutes):
            self.stopped = trainer.should_stop = True
            rank_zero_only(log.warning)(
                "stopped after epoch %d; run the same command to continue", trainer.current_epoch + 1
            )
