"""Training in pieces, for a GPU that is available for minutes at a time."""

from __future__ import annotations

import time

from lightning import Callback, LightningModule, Trainer


class StopAfter(Callback):
    """Stop after ``minutes``, at the end of the next epoch with a validation, which saves a checkpoint; never if None.

    Attributes:
        stopped: whether the run stopped early; the next call continues it.
    """

    def __init__(self, minutes: float | None) -> None:
        self.minutes = minutes
        self.stopped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done = trainer.current_epoch + 1
        saved = done % (trainer.check_val_every_n_epoch or 1) == 0
        over = self.minutes is not None and time.monotonic() - self.started > 60 * self.minutes
        if over and saved and done != trainer.max_epochs:
            self.stopped = trainer.should_stop = True
