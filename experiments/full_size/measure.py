"""Speed of a run's network: forward, in training, and of the data beside it; and where a step spends its time.

    python -m experiments.full_size.measure speed [RUN...]      speed, memory, share of the chip's peak
    python -m experiments.full_size.measure profile [RUN...]    which operations take a step's time

Runs are small, base and the paper's systems.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from experiments.full_size.recipes import BUNDLED, SYSTEMS, arguments_of, piece
from ssnan.data.datamodule import ParsingData
from ssnan.losses import ParsingLoss
from ssnan.training import ParsingTask
from ssnan.training.cli import command_line

Batch = dict[str, Tensor]

WARM, STEPS = 3, 12
"""Steps before those that count, which compile and fill queues, and steps that count."""

ROWS = 25
"""Operations that a profile lists."""

HEAD = (
    "run", "crop", "batch", "forward/s", "training/s", "GFLOPs a crop", "share of peak", "memory, GB",
    "waits for resident photos", "waits for photos on disk",
)  # fmt: skip


def speed(recipes: Mapping[str, list[str]], batches: Sequence[int], output: Path) -> None:
    """Print a table with one row per recipe and batch size.

    Forward and training are crops a second of the network alone, in bf16, compiled if the recipe says so. The share of
    the peak is that of training: its products and convolutions, counted with those of the backward pass, over those of
    a large matrix product in the same time. The network waits for data in a share of the time of its steps, with
    photos in the accelerator's memory and with photos that workers read.

    Args:
        recipes: arguments of ``ssnan train`` by the name of the run.
        batches: batch sizes; if empty, that of the recipe.
        output: a folder, to which nothing is written.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    peak = matmul_peak(device, 8192 if device.type == "cuda" else 1024)
    chip = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{chip}: {peak / 1e12:.2f} TFLOP/s in a bf16 matrix product", flush=True)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for name, arguments in recipes.items():
        task, data = opened(arguments, output, device)
        for size in batches or [data.batch_size]:
            data.batch_size, data.samples_per_epoch = size, size * (WARM + STEPS)
            row = (name, f"{data.crop[0]} × {data.crop[1]}", str(size), *numbers(task, data, device, peak))
            print(f"| {' | '.join(row)} |", flush=True)


def profile(recipes: Mapping[str, list[str]], batches: Sequence[int], output: Path) -> None:
    """Print which operations take the time of one training step, for every recipe and batch size.

    Args:
        recipes, batches, output: as for :func:`speed`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    for name, arguments in recipes.items():
        task, data = opened(arguments, output, device)
        for size in batches or [data.batch_size]:
            data.batch_size, data.samples_per_epoch = size, size * (WARM + 1)
            step = training_step(task, device)
            *warm, last = batches_on(data, device)
            for batch in warm:
                step(batch)
            with torch.profiler.profile() as seen:  # of the CPU, and of an accelerator if there is one
                step(last)
            by = f"self_{device.type}_time_total"
            print(f"{name}, batches of {size}\n{seen.key_averages().table(by, row_limit=ROWS)}", flush=True)


def opened(arguments: list[str], output: Path, device: torch.device) -> tuple[ParsingTask, ParsingData]:
    """The task of a recipe on the device, ready to train, and its data."""
    cli = command_line([*arguments, "--output", str(output)])
    data = cli.datamodule
    data.setup("fit")
    task = cli.model.to(device, memory_format=torch.channels_last)
    task.criterion = ParsingLoss(replace(task.label_set, sets=data.label_set.sets), task.loss)
    return task, data


def training_step(task: ParsingTask, device: torch.device) -> Callable[[Batch], None]:
    """A function that trains on one batch, in bf16."""
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=1e-6, momentum=0.9)
    task.network.train()

    def step(batch: Batch) -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = task.losses(batch)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def numbers(task: ParsingTask, data: ParsingData, device: torch.device, peak: float) -> list[str]:
    """The measured columns of :data:`HEAD`; ``peak`` is in operations a second."""
    cuda = device.type == "cuda"
    step = training_step(task, device)

    def forward(images: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            return task.forward_in_training(images).scores

    if cuda:
        torch.cuda.reset_peak_memory_stats()
    resident, work, batch = waiting(data, step, device)
    training = data.batch_size / work
    memory = torch.cuda.max_memory_allocated() / 1e9 if cuda else float("nan")
    side, data.resident_side, data.resident = data.resident_side, None, None
    disk, _, _ = waiting(data, step, device)
    data.resident_side = side
    flops = training_flops(task, {key: value[:2] for key, value in batch.items()})
    images = batch["images"].contiguous(memory_format=torch.channels_last)
    task.network.eval()
    inference = data.batch_size / seconds(lambda: forward(images), device)
    return [
        f"{inference:.1f}",
        f"{training:.1f}",
        f"{flops / 1e9:.0f}",
        f"{flops * training / peak:.0%}",
        f"{memory:.1f}",
        f"{resident:.0%}",
        f"{disk:.0%}",
    ]


def waiting(data: ParsingData, step: Callable[[Batch], None], device: torch.device) -> tuple[float, float, Batch]:
    """Train on an epoch of ``data``: the share of the time that went into getting batches, the median seconds of a step
    without it, and the last batch."""
    loader = batches_on(data, device)
    times = []
    for _ in range(WARM + STEPS):
        began = _now(device)
        batch = next(loader)
        got = _now(device)
        step(batch)
        times.append((got - began, _now(device) - got))
    waits, works = zip(*times[WARM:], strict=True)
    return sum(waits) / (sum(waits) + sum(works)), statistics.median(works), batch


def batches_on(data: ParsingData, device: torch.device) -> Iterator[Batch]:
    """The batches of an epoch, on the device."""
    for batch in data.train_dataloader(device):
        if isinstance(batch, dict):
            batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        yield data.on_after_batch_transfer(batch, 0)


def training_flops(task: ParsingTask, batch: Batch) -> float:
    """Floating-point operations of products and convolutions for one crop, forward and backward."""
    compiled, task.forward_in_training = task.forward_in_training, task.network.forward
    task.network.train()
    with FlopCounterMode(display=False) as counter:
        task.losses(batch)["loss"].backward()
    task.forward_in_training = compiled
    task.zero_grad(set_to_none=True)
    return counter.get_total_flops() / len(batch["images"])


def matmul_peak(device: torch.device, side: int) -> float:
    """Operations a second of a large bf16 matrix product."""
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / seconds(lambda: matrix @ matrix, device)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Median time of one call, the accelerator's work included."""
    times = []
    for _ in range(WARM + STEPS):
        began = _now(device)
        run()
        times.append(_now(device) - began)
    return statistics.median(times[WARM:])


def _now(device: torch.device) -> float:
    """The clock, after the accelerator has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "profile"])
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", choices=[*BUNDLED, *SYSTEMS, []]
    )  # argparse checks [] if none is given
    parser.add_argument("--also", action="append", default=[], metavar="FILE", help="a recipe on top of all others")
    parser.add_argument("--batches", type=int, nargs="+", default=[], help="instead of the recipe's batch size")
    told = parser.parse_args()
    recipes = {name: arguments_of(name, [piece("few"), *told.also]) for name in told.runs or ("small", "ss_nan")}
    (speed if told.what == "speed" else profile)(recipes, told.batches, Path("runs/measure"))


if __name__ == "__main__":
    main()
