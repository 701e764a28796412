"""Many short trainings in one process, which share the data: photos are decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssnan.data.datamodule import ParsingData
from ssnan.losses import ParsingLoss
from ssnan.models import ParsingNetwork, ParsingOutput
from ssnan.training.cli import TrainingCLI, command_line
from ssnan.training.task import SGDOptions, optimizer_of

CLIP = 10.0
"""The largest norm of a step's gradient."""

Loss = Callable[[ParsingOutput, Mapping[str, Tensor]], Tensor]
"""The loss of a network's output for a batch of ``images``, ``labels`` and perhaps ``limbs``."""


class DivergedError(ArithmeticError):
    """The loss is not a number."""


def opened(configs: Sequence[Path], seed: int = 0) -> TrainingCLI:
    """Task and data of recipes, each on top of the one before, as ``ssnan train`` builds them."""
    words = [word for path in configs for word in ("--config", str(path))]
    return command_line([*words, "--seed_everything", str(seed)])


def plain(loss: ParsingLoss) -> Loss:
    """A criterion that needs nothing but the labels."""
    return lambda output, batch: loss(output, batch["labels"])["loss"]


def training(
    network: ParsingNetwork, loss: Loss, data: ParsingData, sgd: SGDOptions, device: torch.device
) -> Iterator[int]:
    """Train on ``data.samples_per_epoch`` crops, as ``ssnan train`` does in one epoch, without validation or files.

    The crops depend on ``data.seed`` alone.

    Args:
        data: after ``setup("fit")``; resident photos stay where they are for the next training.
        sgd: with a learning rate.

    Yields:
        The number of crops seen, after each step. The caller may measure the network in between.

    Raises:
        DivergedError: the loss is not a number.
    """
    assert sgd.learning_rate is not None
    network.to(device, memory_format=torch.channels_last)
    batches = data.train_dataloader(device)
    optimizer, schedule = optimizer_of(network, sgd, sgd.learning_rate, float(len(batches)))
    seen = 0
    for numbers in batches:
        batch = data.on_after_batch_transfer(_on(device, numbers), 0)
        images = batch["images"].contiguous(memory_format=torch.channels_last)
        network.train()
        with torch.autocast(device.type, torch.bfloat16):
            total = loss(network(images), batch)
        if not total.isfinite():
            raise DivergedError(f"the loss is {total.item()} after {seen} crops")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        seen += len(images)
        yield seen


def finish(steps: Iterator[int]) -> None:
    """Run a training to its end."""
    for _ in steps:
        pass


def device_at_hand() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _on(device: torch.device, batch: Any) -> Any:
    """A batch of crops on the device. Positions of resident photos stay on the CPU, where chances are drawn."""
    return {name: values.to(device) for name, values in batch.items()} if isinstance(batch, dict) else batch
