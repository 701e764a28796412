"""Validation photos in TensorBoard: photo, ground truth and prediction side by side."""

from __future__ import annotations

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from ssnan.training.task import ParsingTask


class ValidationPictures(Callback):
    """Log the first ``count`` validation photos after every validation."""

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
