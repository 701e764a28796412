"""Resume a run that was interrupted, even while it wrote a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ssnan.errors import quoted
from ssnan.evaluation.systems import PHOTOS, RESULTS
from ssnan.parsing.card import ModelError
from ssnan.training.checkpoint import read_content
from ssnan.training.task import SGDOptions, TrainingError

log = logging.getLogger("ssnan")


class MovableCheckpoint(ModelCheckpoint):
    """A :class:`ModelCheckpoint` that continues in another folder, because a run may have been moved or copied."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        # Lightning forgets the best score in another folder.
        super().load_state_dict(state_dict | moved | {"dirpath": self.dirpath, "best_k_models": best})


class BestCheckpoint(MovableCheckpoint):
    """Save ``best.ckpt`` after every validation with the highest mean IoU so far.

    Args:
        folder: folder of the run's checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, filename="best", monitor="val/mean_iou", mode="max", enable_version_counter=False)

    @property
    def state_key(self) -> str:
        """That of Lightning's class, under which older runs have their best score."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)


class LastCheckpoint(MovableCheckpoint):
    """Save ``last.ckpt`` after every epoch and keep that of the epoch before as ``previous.ckpt``, so that a failed
    write damages only one.

    Args:
        folder: folder of the run's checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            filename="last",
            enable_version_counter=False,
            save_on_train_epoch_end=True,  # also in epochs without a validation, and never within an epoch
        )

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        path = Path(filepath)
        if trainer.is_global_zero and path.is_file():
            path.replace(path.with_name("previous.ckpt"))
        super()._save_checkpoint(trainer, filepath)


class StartAgain(Callback):
    """Remove the checkpoints, results and TensorBoard's curves of an earlier run in ``folder``, once the new one has
    opened its data and has its initial weights, which may be of the earlier one."""

    def __init__(self, folder: Path) -> None:
        checkpoints = [folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last", "previous")]
        curves = (folder / "logs").glob("events.out.tfevents.*")  # before the new run writes its own
        self.earlier = [*checkpoints, *curves, folder / RESULTS, folder / PHOTOS]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            for path in self.earlier:
                path.unlink(missing_ok=True)


def where_it_stopped(folder: Path) -> Path | None:
    """The newest readable checkpoint of a run; None if it has no checkpoint.

    Raises:
        TrainingError: there are checkpoints, but none is readable.
    """
    found = [path for name in ("last", "previous") if (path := folder / f"{name}.ckpt").is_file()]
    for path in found:
        try:
            read_content(path)
        except ModelError as error:
            log.warning("%s; trying the checkpoint before", error)
        else:
            return path
    if found:
        raise TrainingError(f"{quoted(folder)}: no checkpoint is readable; --resume false starts the run again")
    return None


LASTING = (
    "seed_everything", "ema",
    "data.label_set", "data.batch_size", "data.samples_per_epoch", "data.seed", "trainer.accumulate_grad_batches",
    "data.validation", "data.validation_limit",
    "model.network", "model.start_from", "model.backbone_weights",
    "model.sgd.learning_rate", "model.sgd.classifier_factor", "model.sgd.faster",
    "model.sgd.bias_factor", "model.sgd.momentum", "model.sgd.weight_decay",
)  # fmt: skip
"""Options that a resumed run cannot change, because a checkpoint contains their effect: weights, optimizer state, the
number of steps and the best score. Other values would be ignored, or hold for only a part of the run."""


FLAT = {f"model.{field.name}": f"model.sgd.{field.name}" for field in fields(SGDOptions)}
"""Names in older checkpoints, whose options had no groups."""


class LastingOptions(Callback):
    """Store the options in :data:`LASTING` in every checkpoint of a run.

    Args:
        config: all options of the run as plain values, nested as in the recipe.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        flat = dict(_flat(config))
        self.values = {
            name: flat[name] for name in flat if f"{name}.".startswith(tuple(f"{option}." for option in LASTING))
        }

    def state_dict(self) -> dict[str, Any]:
        return self.values

    def refuse_others(self, path: Path) -> None:
        """Refuse to resume from a checkpoint with other values.

        Raises:
            TrainingError: a value differs; the message names it.
        """
        before = read_content(path).get("callbacks", {}).get(self.state_key)
        if before is None:  # a run before options were stored
            return
        before = {FLAT.get(name, name): value for name, value in before.items()}
        for name in before | self.values:
            had, asked = before.get(name), self.values.get(name)
            if had != asked:
                raise TrainingError(
                    f"{quoted(path)}: the interrupted run has {name} {had}, this one {asked}; give {had} to continue, "
                    "or use --resume false or another --output to start again"
                )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
