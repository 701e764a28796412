"""Train the instance head on stored features of the frozen network, which takes half an hour on two cores.

    python -m experiments.people.heads store FOLDER --seed 1 [--minutes 20] [OPTION…]
    python -m experiments.people.heads learn OUTPUT.ckpt FOLDER… [--epochs 3] [--head small] [OPTION…]

``store`` runs the network over batches of the recipe bundled/people, on one core: one process a core, each with a seed
and a folder of its own. ``learn`` trains a head on them, with Adam and a cosine schedule: a new one, or that of the
weights ``--head``. OPTIONs are those of ``ssnan train``, such as ``--model.start_from``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from ssnan.models.initial_weights import read_network, take_over
from ssnan.models.instances import SSNANWithPeople, center_loss, heads_in, offset_loss, targets_of
from ssnan.models.pyramid import resized
from ssnan.training.cli import TrainingCLI, command_line

HEAD = "people."
"""The names of the head's weights begin with this."""

EVERY = 100
"""Batches from one line of the log to the next."""


class Stored(TypedDict):
    """What the head reads of a batch, in 16 bits, and what it should find: the map of people, and where heads are."""

    deep: Tensor
    features: list[Tensor]
    instances: Tensor
    heads: Tensor


def inputs_of_head(network: SSNANWithPeople, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The deep map and the features that the head reads of a batch of images (B, 3, H, W)."""
    pyramids = [network.backbone.maps(resized(images, scale)) for scale in network.scales]
    context = network.context(pyramids[0][-1])
    return pyramids[0][-1], [network.backbone.joined(fine, deep, context) for _, fine, deep in pyramids]


def store(cli: TrainingCLI, folder: Path, minutes: float) -> None:
    """Write a file for every batch, for some minutes."""
    network, label_set = started(cli).eval().to(memory_format=torch.channels_last), cli.model.label_set
    folder.mkdir(parents=True)
    cli.datamodule.setup("fit")
    begun = time.monotonic()
    for number, batch in enumerate(cli.datamodule.train_dataloader()):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            deep, features = inputs_of_head(network, batch["images"].contiguous(memory_format=torch.channels_last))
        stored = Stored(
            deep=deep.bfloat16().contiguous(),
            features=[of_scale.bfloat16().contiguous() for of_scale in features],
            instances=batch["instances"].to(torch.uint8),
            heads=heads_in(batch["labels"], label_set),
        )
        torch.save(stored, folder / f"{number:06}.pt")
        spent = time.monotonic() - begun
        if not number % EVERY:
            print(f"batch {number}: {(number + 1) * len(batch['images']) / spent:.1f} crops a second", flush=True)
        if spent > 60 * minutes:
            return


def learn(network: SSNANWithPeople, files: Sequence[Path], epochs: int, rate: float) -> None:
    """Train the head of a network."""
    optimizer = torch.optim.Adam(network.people.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * len(files), pct_start=0.1)
    order = [file for _ in range(epochs) for file in random.sample(files, len(files))]
    total = torch.zeros(2)
    for step, file in enumerate(order, start=1):
        stored: Stored = torch.load(file)
        maps = network.people(stored["deep"].float(), [of_scale.float() for of_scale in stored["features"]])
        targets = targets_of(stored["instances"], stored["heads"], maps.shape[-2], maps.shape[-1])
        losses = torch.stack([center_loss(maps[:, 0], targets), offset_loss(maps[:, 1:], targets)])
        optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(network.people.parameters(), 10)
        optimizer.step()
        schedule.step()
        total += losses.detach()
        if not step % EVERY:
            centers, offsets = (total / EVERY).tolist()
            print(f"step {step} of {len(order)}: centres {centers:.3f}, offsets {offsets:.3f}", flush=True)
            total.zero_()


def start(network: SSNANWithPeople, trunk: str, head: str | None = None) -> None:
    """Load the weights ``trunk`` without their head, and the head of the weights ``head``, if given."""
    state = {name: value for name, value in read_network(trunk).items() if not name.startswith(HEAD)}
    if head is not None:
        state |= {name: value for name, value in read_network(head).items() if name.startswith(HEAD)}
    take_over(network, state)


def started(cli: TrainingCLI, head: str | None = None) -> SSNANWithPeople:
    """The network with the weights that the recipe starts from, and with the head of ``head`` or an untrained one."""
    network = cli.model.network
    assert isinstance(network, SSNANWithPeople)
    start(network, cli.config["model"]["start_from"], head)
    return network


def save(cli: TrainingCLI, path: Path) -> None:
    """Write the network of a recipe as a checkpoint."""
    built = json.loads(cli.parser.dump(cli.config, skip_none=False, format="json"))["model"]["network"]
    built["init_args"]["num_classes"] = len(cli.model.label_set)  # a linked argument, which a dump leaves out
    parameters = {
        "network": built,
        "label_set": cli.model.label_set.to_dict(),
        "preprocessing": asdict(cli.model.preprocessing),
    }
    state = {f"network.{name}": value for name, value in cli.model.network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": parameters}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    storing, learning = tasks.add_parser("store"), tasks.add_parser("learn")
    storing.add_argument("folder", type=Path)
    storing.add_argument("--minutes", type=float, default=20)
    storing.add_argument("--seed", type=int, required=True)
    learning.add_argument("output", type=Path)
    learning.add_argument("folders", type=Path, nargs="+")
    learning.add_argument("--epochs", type=int, default=3)
    learning.add_argument("--rate", type=float, default=2e-3)
    learning.add_argument("--head", metavar="WEIGHTS", help="go on with the head of these weights")
    options, others = parser.parse_known_args()
    torch.set_num_threads(1)
    if options.task == "store":
        seed = str(options.seed)
        more = ["--seed_everything", seed, "--data.seed", seed, "--data.num_workers", "0"]
        more += ["--data.samples_per_epoch", "1000000"]  # time ends it
        store(command_line(["-c", "bundled/people", *more, *others]), options.folder, options.minutes)
        return
    random.seed(0)
    cli = command_line(["-c", "bundled/people", *others])
    files = sorted(file for folder in options.folders for file in folder.glob("*.pt"))
    learn(started(cli, options.head), files, options.epochs, options.rate)
    save(cli, options.output)


if __name__ == "__main__":
    main()
