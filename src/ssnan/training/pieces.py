"""Training in pieces, for accelerators that are lent for minutes."""

from __future__ import annotations

import time

from lightning import Callback, LightningModule, Trainer


class StopAfter(Callback):
    """End the piece with the first epoch that is validated, and so saved, after ``minutes``; never if None.

    Attributes:
        stopped: the run was ended before its time; the next call continues it.
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
