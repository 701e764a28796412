"""``results.json`` with the accuracy and cost of a finished run, and ``photos.json`` with the counts of each
photo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Timer
from torch import Tensor
from torch.utils.benchmark import Timer as Stopwatch
from torch.utils.flop_counter import FlopCounterMode

from ssnan.data.datamodule import ParsingData
from ssnan.evaluation.evaluate import numbers
from ssnan.evaluation.metrics import Score
from ssnan.evaluation.systems import PHOTOS, RESULTS
from ssnan.io.writing import write_text
from ssnan.models import ParsingNetwork
from ssnan.training.task import ParsingTask

TIMED = 2.0
"""Seconds to time a network for."""


def has_results(folder: Path, task: ParsingTask) -> bool:
    """Whether the results of the task as it is now are in ``folder``, as when a finished run is given again."""
    try:
        return bool(json.loads((folder / RESULTS).read_bytes())["images_seen"] == task.crops_seen)
    except (OSError, ValueError, KeyError):
        return False


def write_results(trainer: Trainer, task: ParsingTask, data: ParsingData, checkpoints: Path, seed: int) -> Path:
    """Validate ``best.ckpt`` and, unless they were just validated, the weights of ``last.ckpt``, and write the results
    to the run's folder, for ``ssnan report``."""
    progress: Any = trainer.fit_loop.epoch_progress.current  # current_epoch is one too low without a training step
    epochs, minutes = progress.processed, _minutes(trainer)
    trainer.logger = None  # the curves of the run end where its training ends
    if task.validated_step != trainer.global_step:
        _validate(trainer, task, data, checkpoints / "last.ckpt")
    last = task.validated  # the best is selected on the reported photos; the last is not
    logged = _validate(trainer, task, data, checkpoints / "best.ckpt")
    results: dict[str, Any] = {
        "system": type(task.network).__name__,
        "label_set": task.label_set.to_dict(),
        "validation": f"{data.validation.name} val",
        "photos": len(task.validated_photos),
        "sources": [source.root.name for source in data.sources],
        "seed": seed,
        **({} if data.seed == seed else {"data_seed": data.seed}),
        "epochs": epochs,
        "images_seen": task.crops_seen,
        "minutes": round(minutes, 2),
        "parameters": sum(parameter.numel() for parameter in task.network.parameters()),
        "flops_321": flops(task.network, 321),
        "seconds_321": round(seconds(task.network, 321), 4),
        "threads": torch.get_num_threads(),
        **{name: _known(logged.get(f"val/{name}")) for name in ("joint_distance", "joint_offset", "joints_missed")},
        **numbers(task.validated, task.validation_labels, task.validated_photos),
        "structure": task.validated_structure,
        "mean_iou_last": Score.of_present(last, task.validation_labels.sets).mean_iou,
    }
    path = checkpoints.parent / RESULTS
    if trainer.is_global_zero:
        write_text(path.with_name(PHOTOS), json.dumps(task.validated_photos) + "\n")
        write_text(path, json.dumps(results, indent=2) + "\n")
    return path


@torch.inference_mode()
def flops(network: ParsingNetwork, side: int) -> int:
    """Floating-point operations for one photo of ``side`` × ``side``; a multiply-add counts as two."""
    training, photo = network.training, _blank_photo(network, side)
    with FlopCounterMode(display=False) as counter:
        network.eval()(photo)
    network.train(training)
    return counter.get_total_flops()


@torch.inference_mode()
def seconds(network: ParsingNetwork, side: int) -> float:
    """Median seconds for one photo of ``side`` × ``side`` in float32 and eager PyTorch, on the device and with the
    threads of the training."""
    training, photo = network.training, _blank_photo(network, side)
    stopwatch = Stopwatch(
        "network(photo)",
        globals={"network": network.eval(), "photo": photo},
        num_threads=torch.get_num_threads(),
    )
    measured = stopwatch.blocked_autorange(min_run_time=TIMED)  # timeit would run it twice more before each lap
    network.train(training)
    return float(measured.median)


def _validate(trainer: Trainer, task: ParsingTask, data: ParsingData, checkpoint: Path) -> Mapping[str, float]:
    [logged] = trainer.validate(task, datamodule=data, ckpt_path=str(checkpoint), verbose=False, weights_only=True)
    return logged


def _known(value: float | None) -> float | None:
    """None instead of NaN, the mean of nothing."""
    return None if value is None or isnan(value) else value


def _blank_photo(network: ParsingNetwork, side: int) -> Tensor:
    photo = torch.zeros(1, 3, side, side, device=next(network.parameters()).device)
    return photo.contiguous(memory_format=torch.channels_last)


def _minutes(trainer: Trainer) -> float:
    """Minutes of training and validation, over all parts of an interrupted run."""
    timer = next(callback for callback in trainer.callbacks if isinstance(callback, Timer))  # type: ignore[attr-defined]
    return timer.time_elapsed("train") / 60
