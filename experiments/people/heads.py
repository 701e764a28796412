"""Train the instance head on stored features of the frozen network, for a machine with little time.

    python -m experiments.people.heads OUTPUT.ckpt [--minutes 12] [--epochs 20] [--rate 0.001] [OPTION…]

The network runs once over as many batches of the recipe bundled/people as the minutes allow. The head then learns from
their features for some epochs, with Adam and a cosine schedule. OPTIONs are those of ``ssnan train``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ssnan.models.initial_weights import read_network, take_over
from ssnan.models.instances import SSNANWithPeople, center_loss, offset_loss, targets_of
from ssnan.models.pyramid import resized
from ssnan.models.ss_nan_context import Seen
from ssnan.training.cli import command_line


class Stored(NamedTuple):
    """What the head reads of a batch, in 16 bits, and the map of people."""

    deep: Tensor
    features: list[Tensor]
    instances: Tensor


def seen_by(network: SSNANWithPeople, images: Tensor) -> Seen:
    """What the head reads of a batch of images (B, 3, H, W)."""
    pyramids = [network.backbone.maps(resized(images, scale)) for scale in network.scales]
    context = network.context(pyramids[0][-1])
    return Seen(pyramids[0][-1], [network.backbone.joined(fine, deep, context) for _, fine, deep in pyramids])


def learn(network: SSNANWithPeople, stored: list[Stored], epochs: int, rate: float) -> None:
    """Train the head of a network."""
    optimizer = torch.optim.Adam(network.people.parameters(), lr=rate)
    steps = epochs * len(stored)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for epoch in range(epochs):
        total = torch.zeros(2)
        for index in torch.randperm(len(stored)).tolist():
            deep, features, instances = stored[index]
            maps = network.people(Seen(deep.float(), [of_scale.float() for of_scale in features]))
            targets = targets_of(instances, maps.shape[-2], maps.shape[-1])
            losses = torch.stack([center_loss(maps[:, 0], targets), offset_loss(maps[:, 1:], targets)])
            optimizer.zero_grad()
            losses.sum().backward()
            torch.nn.utils.clip_grad_norm_(network.people.parameters(), 10)
            optimizer.step()
            schedule.step()
            total += losses.detach()
        centers, offsets = (total / len(stored)).tolist()
        print(f"epoch {epoch + 1}: centres {centers:.3f}, offsets {offsets:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    options, others = parser.parse_known_args()
    cli = command_line(["-c", "bundled/people", *others])
    network = cli.model.network
    assert isinstance(network, SSNANWithPeople)
    take_over(network, read_network(cli.config["model"]["start_from"]))

    def save(path: Path) -> None:
        built = json.loads(cli.parser.dump(cli.config, skip_none=False, format="json"))["model"]["network"]
        built["init_args"]["num_classes"] = len(cli.model.label_set)  # a linked argument, which a dump leaves out
        torch.save(
            {
                "state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
                "hyper_parameters": {
                    "network": built,
                    "label_set": cli.model.label_set.to_dict(),
                    "preprocessing": asdict(cli.model.preprocessing),
                },
            },
            path,
        )

    save(options.output.with_name(f"{options.output.stem}.untrained.ckpt"))
    network.eval()
    cli.datamodule.setup("fit")
    stored: list[Stored] = []
    started = time.monotonic()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for batch in cli.datamodule.train_dataloader():
            deep, features = seen_by(network, batch["images"].contiguous(memory_format=torch.channels_last))
            stored.append(Stored(deep.bfloat16(), [of_scale.bfloat16() for of_scale in features], batch["instances"]))
            if time.monotonic() - started > 60 * options.minutes:
                break
    minutes = (time.monotonic() - started) / 60
    print(f"{len(stored)} batches of {len(stored[0].deep)} in {minutes:.1f} minutes", flush=True)
    learn(network, stored, options.epochs, options.rate)
    save(options.output)


if __name__ == "__main__":
    main()
