"""The paper's systems at full size, on a GPU and on the same crops: its network, one scale, poolings, rivals.

    python -m experiments.full_size.systems train --minutes 9 [SYSTEM...]    in order; photos are decoded once
    python -m experiments.full_size.systems measure [SYSTEM...]              the finished ones, on val splits
    python -m experiments.full_size.systems try [SYSTEM...]                  both, two steps of training on a processor
    python -m experiments.full_size.systems table                            what they reached

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

from experiments.full_size.run import piece, tiny
from experiments.full_size.table import table
from experiments.loop import Loss, device_at_hand, finish, training
from experiments.measuring import Photos
from experiments.tables import show, write
from ssnan.data.datamodule import ParsingData
from ssnan.data.layouts import open_split
from ssnan.losses import ParsingLoss
from ssnan.models import ParsingOutput
from ssnan.models.initial_weights import read_network, take_over
from ssnan.training import ParsingTask
from ssnan.training.checkpoint import read_content
from ssnan.training.cli import TrainingCLI, command_line
from ssnan.training.results import flops

SOURCES, BUDGET, RESNET101 = piece("sources"), piece("budget"), piece("resnet101")


def first_step(recipe: str, *pieces: str) -> list[str]:
    """The recipe of a paper with our data, budget and backbone, and more pieces on top."""
    return [recipe, SOURCES, BUDGET, *pieces]


FIRST = {
    "ss_nan": first_step("lip/ss_nan", RESNET101),
    "average": first_step("lip/ss_nan", RESNET101, piece("average")),
    "maximum": first_step("lip/ss_nan", RESNET101, piece("maximum")),
    "skip_net": first_step("lip/ss_nan", RESNET101, piece("skip_net")),
    "residual": first_step("lip/ss_nan", RESNET101, piece("residual")),
    "deeplab_v2": first_step("lip/deeplab_v2_resnet101", RESNET101),
    "fcn_8s": first_step("lip/fcn_8s", piece("fcn_8s")),
    "lg_lstm": first_step("lip/lg_lstm", RESNET101),
    "attention": first_step("lip/attention", RESNET101),
    "segnet": first_step("lip/segnet", piece("segnet")),
    "hazn": first_step("lip/hazn", RESNET101),
}
SECOND = {
    "ss_nan_step2": ("ss_nan", first_step("lip/ss_nan_step2", RESNET101)),
    "ss_nan_step2_none": ("ss_nan", first_step("lip/ss_nan_step2", RESNET101, piece("no_joint_loss"))),
    "attention_ssl": ("attention", first_step("lip/attention_ssl", RESNET101)),
}
"""Second steps, and the first that they start from."""

ORDER = (
    *("ss_nan", "average", "maximum", "skip_net", "residual", "deeplab_v2", "fcn_8s", "lg_lstm"),
    *("ss_nan_step2", "ss_nan_step2_none", "attention", "attention_ssl", "segnet", "hazn"),
)
"""What matters most first."""

CROPS = 18_000
"""Of each step."""
Also = Callable[[str], list[str]]
"""From the name of a system to recipes on top of its own."""

TESTS = (Path("runs/taught/lip-marks"), Path("data/ccp-lip"), Path("runs/taught/lip-plain"))
"""Datasets whose val splits are measured."""


class Trainings:
    """Data of all systems, and how one is trained.

    Args:
        also: from the name of a system to recipes on top of its own.
        output: folder of the results.
        crops: see :data:`CROPS`.
    """

    def __init__(self, also: Also, output: Path, crops: int = CROPS) -> None:
        self.also, self.output = also, output
        self.device = device_at_hand()
        torch.backends.cudnn.benchmark = True
        self.data: ParsingData = opened(ORDER[0], also).datamodule
        self.data.setup("fit")
        self.data.samples_per_epoch = crops
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
    files = [*(FIRST.get(name) or SECOND[name][1]), *also(name)]
    return command_line([word for file in files for word in ("--config", file)])


def numbers_of(output: Path, name: str) -> Path:
    """Where cost and budget of a finished system lie."""
    return output / name / "numbers.json"


def checkpoint_of(output: Path, name: str) -> Path:
    """Where its weights lie, as ``ssnan parse --weights`` takes them."""
    return output / name / "last.ckpt"


def whole_loss(task: ParsingTask, data: ParsingData) -> Loss:
    """What ``ssnan train`` minimizes: the losses of the recipe, and those that the network has itself."""
    task.criterion = ParsingLoss(replace(task.label_set, sets=data.label_set.sets), task.loss)

    def loss(output: ParsingOutput, batch: Mapping[str, Tensor]) -> Tensor:
        own = task.network.auxiliary_losses(output, dict(batch), task.label_set)
        return sum(own.values(), start=task.criterion(output, batch["labels"])["loss"])

    return loss


def train(trainings: Trainings, names: Sequence[str], minutes: float) -> None:
    """Train what is missing of ``names``, and begin nothing after ``minutes``."""
    began = time.monotonic()
    for name in names or ORDER:
        if time.monotonic() - began > 60 * minutes:
            print(f"{minutes:g} minutes are over; the same command goes on")
            return
        trainings.run(name)


def measure(names: Sequence[str], also: Also, tests: Sequence[Path], output: Path) -> None:
    """Count what the finished systems among ``names`` get right on the val splits of ``tests``, unless it is known."""
    device, photos = device_at_hand(), {}
    for name in names or ORDER:
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
            photos[root].measured(network).save(output / name / f"{root.name}.npz")
        print(f"{name}: measured", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "try", "measure", "table"):
        command = commands.add_parser(name)
        command.add_argument("-o", "--output", type=Path, default=Path("runs/systems"))
        if name != "table":
            command.add_argument("systems", nargs="*", metavar="SYSTEM", choices=[*ORDER, []])
        if name in ("try", "measure"):
            command.add_argument("--test", type=Path, action="append", help="a dataset whose val split is measured")
    limited = commands.choices["train"]
    limited.add_argument("--minutes", type=float, required=True)
    limited.add_argument("--crops", type=int, default=CROPS, help="of each step")
    limited.add_argument("--also", action="append", default=[], metavar="FILE", help="a recipe on top of all others")
    told = parser.parse_args()
    match told.command:
        case "train":
            train(Trainings(lambda _: told.also, told.output, told.crops), told.systems, told.minutes)
        case "measure":
            measure(told.systems, lambda _: [], told.test or TESTS, told.output)
        case "try":
            train(Trainings(tiny, told.output, crops=4), told.systems, math.inf)
            measure(told.systems, tiny, told.test or TESTS, told.output)
        case "table":
            path = told.output / "results.csv"
            write(table(told.output, ORDER), path)
            show(path)


if __name__ == "__main__":
    main()
