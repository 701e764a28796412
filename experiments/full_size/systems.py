"""The paper's systems at full size, on a GPU and on the same crops: its network, one scale, poolings, rivals.

    python -m experiments.full_size.systems train --minutes 9 [SYSTEM...]    in order; photos are decoded once
    python -m experiments.full_size.systems measure [SYSTEM...]              the finished ones, on val splits
    python -m experiments.full_size.systems try [SYSTEM...]                  both, one step of training on a CPU
    python -m experiments.full_size.systems tables FOLDER                    what they reached

A finished system is kept, none begins after --minutes, and the same command goes on. ``experiments.full_size.pack``
moves data and weights.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from experiments.full_size.comparison import JOINTS, read, second_step_table, systems_table
from experiments.full_size.recipes import SECOND, SYSTEMS, arguments_of, tiny
from experiments.loop import Loss, device_at_hand, finish, training
from experiments.measuring import Photos
from ssnan.data.datamodule import ParsingData
from ssnan.data.layouts import open_split
from ssnan.evaluation.report import markdown
from ssnan.losses import ParsingLoss
from ssnan.models import ParsingOutput
from ssnan.models.initial_weights import read_network, take_over
from ssnan.training import ParsingTask
from ssnan.training.checkpoint import read_content
from ssnan.training.cli import TrainingCLI, command_line
from ssnan.training.results import flops

OUTPUT = Path("runs/systems")
TESTS = (Path("runs/taught/lip-marks"), Path("data/ccp-lip"), Path("runs/taught/lip-photos"))
"""Whose val splits are measured, see :mod:`experiments.full_size.comparison`."""

Also = Callable[[str], list[str]]
"""From the name of a system to recipes on top of its own."""


class Trainings:
    """Data of all systems, and how one is trained.

    Args:
        also: from the name of a system to recipes on top of its own.
        output: folder of the results.
    """

    def __init__(self, also: Also, output: Path) -> None:
        self.also, self.output = also, output
        self.device = device_at_hand()
        torch.backends.cudnn.benchmark = True
        self.data: ParsingData = opened(SYSTEMS[0], also).datamodule
        self.data.setup("fit")
        self.data.train_dataloader(self.device)  # decodes the photos, which should not count as training

    def run(self, name: str) -> None:
        """Train a system, unless it is finished or its first step is not."""
        if numbers_of(self.output, name).is_file():
            return
        cli = opened(name, self.also)
        task: ParsingTask = cli.model
        if name in SECOND:
            first, _ = SECOND[name]
            if not numbers_of(self.output, first).is_file():
                print(f"{name}: waits for {first}", flush=True)
                return
            take_over(task.network, read_network(checkpoint_of(self.output, first)))
        elif task.backbone_weights is not None:
            task.network.load_backbone(task.backbone_weights)
        numbers = {
            "chip": torch.cuda.get_device_name() if self.device.type == "cuda" else "CPU",
            "crops": self.data.samples_per_epoch,
            "parameters": sum(parameter.numel() for parameter in task.network.parameters()),
            "gflops_321": round(flops(task.network, 321) / 1e9, 1),
        }
        began = time.monotonic()
        finish(training(task.network, whole_loss(task, self.data), self.data, task.sgd, self.device))
        numbers["seconds"] = round(time.monotonic() - began, 1)
        path = checkpoint_of(self.output, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        cli.trainer.strategy.connect(task)
        cli.trainer.save_checkpoint(path, weights_only=True)
        numbers_of(self.output, name).write_text(json.dumps(numbers, indent=2) + "\n")
        print(f"{name}: {numbers}", flush=True)


def opened(name: str, also: Also) -> TrainingCLI:
    """Task and data of a system as ``ssnan train`` builds them."""
    return command_line(arguments_of(name, also(name)))


def numbers_of(output: Path, name: str) -> Path:
    """Where cost and budget of a finished system lie."""
    return output / name / "numbers.json"


def checkpoint_of(output: Path, name: str) -> Path:
    """Where its weights lie, as ``ssnan parse --model`` takes them."""
    return output / name / "last.ckpt"


def whole_loss(task: ParsingTask, data: ParsingData) -> Loss:
    """What ``ssnan train`` minimizes: the losses of the recipe, and those that the network has itself."""
    task.criterion = ParsingLoss(replace(task.label_set, sets=data.label_set.sets), task.loss)

    def loss(output: ParsingOutput, batch: Mapping[str, Tensor]) -> Tensor:
        own = task.network.auxiliary_losses(output, dict(batch), task.criterion.label_set)
        return sum(own.values(), start=task.criterion(output, batch["labels"])["loss"])

    return loss


def train(trainings: Trainings, names: Sequence[str], minutes: float) -> None:
    """Train what is missing of ``names``, and begin nothing after ``minutes``."""
    began = time.monotonic()
    for name in names or SYSTEMS:
        if time.monotonic() - began > 60 * minutes:
            print(f"{minutes:g} minutes are over; the same command goes on")
            return
        trainings.run(name)


def measure(names: Sequence[str], also: Also, tests: Sequence[Path], output: Path) -> None:
    """Count what the finished systems among ``names`` get right on the val splits of ``tests``, unless it is known."""
    device, photos = device_at_hand(), {}
    for name in names or SYSTEMS:
        missing = [root for root in tests if not (output / name / f"{root.name}.npz").is_file()]
        if not numbers_of(output, name).is_file() or not missing:
            continue
        task: ParsingTask = opened(name, also).model
        task.load_state_dict(read_content(checkpoint_of(output, name))["state_dict"])
        network = task.network.to(device, memory_format=torch.channels_last)
        for root in missing:
            if root not in photos:
                folder = open_split(root, "val")
                with ThreadPoolExecutor() as pool:
                    samples = [(one, folder.label_set) for one in pool.map(folder.__getitem__, range(len(folder)))]
                photos[root] = Photos(samples, task.preprocessing, device)
            counts = photos[root].measured(network)
            if root.name == JOINTS:
                counts = counts._replace(pixels=counts.pixels[:0])  # its masks are a network's
            counts.save(output / name / f"{root.name}.npz")
        print(f"{name}: measured", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "measure", "try"):
        command = commands.add_parser(name)
        command.add_argument(
            "systems", nargs="*", metavar="SYSTEM", choices=[*SYSTEMS, []]
        )  # argparse checks [] if none is given
        command.add_argument("-o", "--output", type=Path, default=OUTPUT)
        if name != "train":
            command.add_argument("--test", type=Path, action="append", help="a dataset whose val split is measured")
    limited = commands.choices["train"]
    limited.add_argument("--minutes", type=float, required=True)
    limited.add_argument("--also", action="append", default=[], metavar="FILE", help="a recipe on top of all others")
    commands.add_parser("tables").add_argument("folder", type=Path)
    told = parser.parse_args()
    match told.command:
        case "train":
            train(Trainings(lambda _: told.also, told.output), told.systems, told.minutes)
        case "measure":
            measure(told.systems, lambda _: [], told.test or TESTS, told.output)
        case "try":
            train(Trainings(tiny, told.output), told.systems, math.inf)
            measure(told.systems, tiny, told.test or TESTS, told.output)
        case "tables":
            reached = read(told.folder, SYSTEMS)
            for table in (systems_table(reached), second_step_table(reached)):
                print(markdown(table) if table else "")


if __name__ == "__main__":
    main()
