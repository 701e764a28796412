"""Where a run goes on that was stopped, killed or cut off while it wrote."""

from __future__ import annotations

import logging
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ssnan.errors import quoted
from ssnan.parsing.card import ModelError
from ssnan.training.checkpoint import read_content
from ssnan.training.task import ParsingTask, TrainingError

log = logging.getLogger("ssnan")


class LastCheckpoint(ModelCheckpoint):
    """``last.ckpt`` of every epoch, whether or not it was the best, and ``previous.ckpt`` of the one before:
    a disk that fails may take one of them, not both."""

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        path = Path(filepath)
        if trainer.is_global_zero and path.is_file():
            path.replace(path.with_name("previous.ckpt"))
        super()._save_checkpoint(trainer, filepath)


def where_it_stopped(folder: Path) -> Path | None:
    """The newest checkpoint of a run that can be read; None where there is none at all.

    Raises:
        TrainingError: there are checkpoints, and none can be read.
    """
    found = [path for name in ("last", "previous") if (path := folder / f"{name}.ckpt").is_file()]
    for path in found:
        try:
            read_content(path)
        except ModelError as error:
            log.warning("%s; looking for the epoch before", error)
        else:
            return path
    if found:
        raise TrainingError(f"{quoted(folder)}: no checkpoint can be read; --resume false begins the run anew")
    return None


OF_THE_OPTIMIZER = ("learning_rate", "classifier_factor", "faster", "bias_factor", "momentum", "weight_decay")
"""Options whose values a checkpoint brings with it, as the optimizer's state, whatever is asked for."""


def refuse_other_rates(path: Path, task: ParsingTask) -> None:
    """Refuse to go on from a checkpoint with rates that would not be applied.

    Raises:
        TrainingError: an option of :data:`OF_THE_OPTIMIZER` differs from the run's.
    """
    before = read_content(path).get("hyper_parameters", {})
    for name in OF_THE_OPTIMIZER:
        asked = getattr(task, name)
        if name in before and before[name] != asked:
            raise TrainingError(
                f"{quoted(path)}: its run has model.{name} {before[name]}, asked for is {asked}; give {before[name]} "
                "to go on, or --resume false or another --output to begin anew"
            )
