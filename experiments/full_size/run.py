"""What is worth an accelerator, in pieces of minutes: the bundled models and the paper's systems at full size.

    ssnan data pack data/ccp-lip -o packed/ccp-lip --shard 200     what must travel, in files of a few megabytes
    python -m experiments.full_size.run measure                          images/s, memory, share of the chip's peak
    python -m experiments.full_size.run train --minutes 9 [RUN...]       the next piece of these runs, in their order
    python -m experiments.full_size.run split best.ckpt -o pieces        weights in 8 bits, 15 MB a file
    python -m experiments.full_size.run join pieces -o base.ckpt         and back

Runs are ``small`` and ``base``, the bundled model's recipe at half a million crops; the paper's network ``ss_nan``, its
poolings and single scale, and its rivals, all but SegNet on ResNet-101 and at one budget; and second steps from
``ss_nan``, with each arm of the structure trial. ``train`` and ``measure`` take
``--also experiments/full_size/configs/tiny.yaml`` to go the same way on a processor.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

RUNS = Path("runs/full")
KEPT = ("hyper_parameters", "datamodule_hyper_parameters", "pytorch-lightning_version", "epoch", "global_step")
"""Of a checkpoint beside its weights, what building the network again takes."""
CONFIGS = Path(__file__).parent / "configs"
TRIAL = Path(__file__).parent.parent / "structure_trial" / "configs"


def piece(name: str) -> str:
    """A file of ``configs/``, which goes on top of a recipe."""
    return str(CONFIGS / f"{name}.yaml")


BUNDLED = ["bundled/gpu", piece("bundled")]
BUDGET, RESNET101 = piece("budget"), piece("resnet101")
ARMS = ("none", "product", "weighted", "decided", "sides")
STEP1 = {
    "small": BUNDLED,
    "base": [*BUNDLED, piece("base")],
    "ss_nan": ["lip/ss_nan", BUDGET, RESNET101],
    **{name: ["lip/ss_nan", BUDGET, RESNET101, piece(name)] for name in ("skip_net", "average", "maximum")},
    "deeplab_v2": ["lip/deeplab_v2_resnet101", BUDGET, RESNET101],
    **{name: [f"lip/{name}", BUDGET, RESNET101] for name in ("attention", "hazn", "lg_lstm")},
    **{name: [f"lip/{name}", BUDGET, piece(name)] for name in ("fcn_8s", "segnet")},
}
STEP2 = {
    "ss_nan_step2": ("ss_nan", ["lip/ss_nan_step2", piece("step2")]),
    "attention_ssl": ("attention", ["lip/attention_ssl", piece("step2")]),
    **{f"ss_nan_{arm}": ("ss_nan", ["lip/ss_nan_step2", piece("step2"), str(TRIAL / f"{arm}.yaml")]) for arm in ARMS},
}
ORDER = (
    *((name, 0) for name in ("small", "ss_nan", "ss_nan_step2", "ss_nan_none", "base")),
    *((name, 0) for name in STEP1 if name not in ("small", "ss_nan", "base")),
    ("attention_ssl", 0),
    *((f"ss_nan_{arm}", 0) for arm in ARMS[1:]),
    *(
        (name, seed)
        for seed in (1, 2)
        for name in ("ss_nan", *(f"ss_nan_{arm}" for arm in ARMS), "maximum", "skip_net")
    ),
)
"""Runs and seeds, what matters most first."""


def arguments_of(name: str, seed: int, also: list[str]) -> list[str]:
    """What ``ssnan train`` is told for one run."""
    first, extra = STEP2.get(name, (name, []))
    files = [*STEP1[first], *extra, *also]
    told = [flag for file in files for flag in ("--config", file)]
    if name in STEP2:
        told += ["--model.start_from", str(RUNS / first / f"seed{seed}/checkpoints/best.ckpt")]
    told += ["--output", str(RUNS / name / f"seed{seed}")]
    return [*told, "--seed_everything", str(seed), "--data.seed", str(seed)]


def train(minutes: float, also: list[str], names: list[str]) -> None:
    """Continue with the first unfinished run (of ``names``, if there are any), then the next, for ``minutes``."""
    from ssnan.training.cli import train as run

    end = time.monotonic() + 60 * minutes
    for name, seed in ORDER:
        left = (end - time.monotonic()) / 60
        if left <= 0:
            return
        if (names and name not in names) or _finished(name, seed):
            continue
        first, _ = STEP2.get(name, (name, []))
        if first != name and not _finished(first, seed):
            print(f"{name}, seed {seed}: waits for {first}")
            continue
        print(f"{name}, seed {seed}: {left:.1f} minutes left", flush=True)
        run([*arguments_of(name, seed, also), "--stop_after", str(left)])
        gc.collect()  # trainer and data know each other, and the photos in an accelerator's memory with them


def _finished(name: str, seed: int) -> bool:
    return (RUNS / name / f"seed{seed}" / "results.json").is_file()


def measure(also: list[str], batches: list[int]) -> None:
    """Speed of the paper's network on its own data: forward, in training, and of the data alone."""
    from torch.utils.flop_counter import FlopCounterMode

    from ssnan.losses import ParsingLoss
    from ssnan.training.cli import command_line

    cli = command_line([*arguments_of("ss_nan", 0, also), "--output", str(RUNS / "measure")])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task, data = cli.model.to(device, memory_format=torch.channels_last), cli.datamodule
    data.setup("fit")
    criterion = ParsingLoss(data.label_set, task.loss)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        task.network.eval()(torch.zeros(1, 3, *data.crop, device=device))
    flops, peak = counter.get_total_flops(), matmul_peak(device)
    print(f"{flops / 1e9:.0f} GFLOPs an image of {data.crop}; bf16 matrix product: {peak / 1e12:.2f} TFLOP/s")
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=1e-5, momentum=0.9)
    print("batch  forward/s  training/s  data alone/s  share of peak in training  memory, GB")
    for size in batches:
        data.batch_size = size
        numbers = next(iter(data.train_dataloader(device)))
        batch = data.on_after_batch_transfer(numbers, 0)
        images = batch["images"].contiguous(memory_format=torch.channels_last)

        def forward(images: Tensor = images) -> Tensor:
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
                return task.forward_in_training(images).scores

        def step(images: Tensor = images, labels: Tensor = batch["labels"]) -> None:
            with torch.autocast(device.type, torch.bfloat16):
                loss = criterion(task.forward_in_training(images), labels)["loss"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        def load(numbers: Any = numbers) -> None:
            data.on_after_batch_transfer(numbers, 0)

        task.network.eval()
        inference = size / seconds(forward, device)
        task.network.train()
        training = size / seconds(step, device)
        loading = size / seconds(load, device)
        memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
        share = 3 * flops * training / peak  # backward is twice the forward's products
        print(f"{size:5d}  {inference:9.1f}  {training:10.1f}  {loading:12.0f}  {share:25.0%}  {memory:10.1f}")


def matmul_peak(device: torch.device, side: int = 4096) -> float:
    """Operations a second of a large bf16 matrix product."""
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / seconds(lambda: matrix @ matrix, device)


def seconds(run: Callable[[], object], device: torch.device, warm: int = 2, runs: int = 5) -> float:
    """Median time of one call, the accelerator's work included."""
    times = []
    for _ in range(warm + runs):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[warm:])


def split(checkpoint: Path, output: Path, megabytes: float = 15.0) -> None:
    """A checkpoint without its optimiser, in files small enough to travel: convolutions in 8 bits, a
    scale for each channel that comes out; all else as it is."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    kept = {key: content[key] for key in KEPT if key in content}
    pieces: list[dict[str, Any]] = [{"rest": kept}]
    filled = 0.0
    for name, value in content["state_dict"].items():
        stored: Any = value
        if value.ndim == 4:
            scale = value.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
            stored = ((value / scale).round().to(torch.int8), scale)
        size = value.numel() * (1 if value.ndim == 4 else value.element_size()) / 1e6
        if filled + size > megabytes:
            pieces.append({})
            filled = 0.0
        pieces[-1][name] = stored
        filled += size
    output.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces):
        torch.save(piece, output / f"piece{number:02d}.pt")


def join(pieces: Path, checkpoint: Path) -> None:
    """The checkpoint that ``split`` took apart, its convolutions rounded to 8 bits."""
    content: dict[str, Any] = {}
    state: dict[str, Tensor] = {}
    for path in sorted(pieces.glob("piece*.pt")):
        for name, value in torch.load(path, weights_only=True).items():
            if name == "rest":
                content = value
            else:
                state[name] = value[0].float() * value[1] if isinstance(value, tuple) else value
    torch.save(content | {"state_dict": state}, checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("split", "join"):
        moving = commands.add_parser(name)
        moving.add_argument("source", type=Path)
        moving.add_argument("-o", "--output", type=Path, required=True)
    for name in ("train", "measure"):
        running = commands.add_parser(name)
        running.add_argument("--also", action="append", default=[])
    commands.choices["train"].add_argument("--minutes", type=float, required=True)
    commands.choices["train"].add_argument("runs", nargs="*", metavar="RUN")
    commands.choices["measure"].add_argument("--batches", type=int, nargs="+", default=[10, 30, 60])
    told = parser.parse_args()
    match told.command:
        case "split":
            split(told.source, told.output)
        case "join":
            join(told.source, told.output)
        case "train":
            if unknown := set(told.runs) - {name for name, _ in ORDER}:
                parser.error(f"no run {', '.join(sorted(unknown))}; there are {', '.join([*STEP1, *STEP2])}")
            train(told.minutes, told.also, told.runs)
        case "measure":
            measure(told.also, told.batches)


if __name__ == "__main__":
    main()
