"""Where a run goes on that was stopped, killed or cut off while it wrote."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ssnan.errors import quoted
from ssnan.parsing.card import ModelError
from ssnan.training.checkpoint import read_content
from ssnan.training.task import SGDOptions, TrainingError

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


LASTING = (
    "seed_everything", "ema",
    "data.label_set", "data.batch_size", "data.samples_per_epoch", "data.seed", "trainer.accumulate_grad_batches",
    "model.network", "model.start_from", "model.backbone_weights",
    "model.sgd.learning_rate", "model.sgd.classifier_factor", "model.sgd.faster",
    "model.sgd.bias_factor", "model.sgd.momentum", "model.sgd.weight_decay",
)  # fmt: skip
"""Options that a run keeps to its end. A checkpoint brings their effect with it: the weights, the optimizer's state and
how far the run has come, counted in its steps. Other values would be ignored, or be true of a part of the run."""


FLAT = {f"model.{field.name}": f"model.sgd.{field.name}" for field in fields(SGDOptions)}
"""Names in checkpoints of runs from before these options had a group of their own."""


class LastingOptions(Callback):
    """What a run was asked for, of :data:`LASTING`, in each of its checkpoints.

    Args:
        config: every option of the run, nested as in its YAML, in plain values.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        flat = dict(_flat(config))
        self.values = {
            name: flat[name] for name in flat if f"{name}.".startswith(tuple(f"{option}." for option in LASTING))
        }

    def state_dict(self) -> dict[str, Any]:
        return self.values

    def refuse_others(self, path: Path) -> None:
        """Refuse to go on from a checkpoint of a run with other values.

        Raises:
            TrainingError: one differs; the message names it.
        """
        before = read_content(path).get("callbacks", {}).get(self.state_key)
        if before is None:  # of a run before they were kept
            return
        before = {FLAT.get(name, name): value for name, value in before.items()}
        for name in before | self.values:
            had, asked = before.get(name), self.values.get(name)
            if had != asked:
                raise TrainingError(
                    f"{quoted(path)}: its run has {name} {had}, asked for is {asked}; give {had} to go on, or "
                    "--resume false or another --output to begin anew"
                )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
