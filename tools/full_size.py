"""The paper's network at full size, on an accelerator, in pieces of minutes.

    full_size.py pack data/ccp-lip data/viton-lip -o parts     datasets as archives of at most 60 MB
    full_size.py unpack parts -o data                          and back
    full_size.py measure                                       images/s, memory, share of the chip's peak
    full_size.py train --minutes 9                             the next piece of the runs below, in their order
    full_size.py split runs/full/ss_nan/checkpoints/best.ckpt -o pieces     weights in 8 bits, 15 MB a file
    full_size.py join pieces -o base.ckpt                                   and back

``train`` and ``measure`` take ``--also full/tiny`` to go the same way on a processor.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssnan.data.folder import Pair
from ssnan.data.layouts import open_split

RUNS = Path("runs/full")
IMAGES, LABELS = "TrainVal_images", "TrainVal_parsing_annotations"
KEPT = ("hyper_parameters", "datamodule_hyper_parameters", "pytorch-lightning_version", "epoch", "global_step")
"""Of a checkpoint beside its weights, what building the network again takes."""
RESNET101, RESNET50 = "full/resnet101", "full/resnet50"
STEP1 = {
    "ss_nan": ["lip/ss_nan", "full/budget", RESNET101],
    "ss_nan_resnet50": ["lip/ss_nan", "full/budget", RESNET50],
    "deeplab_v2_resnet101": ["lip/deeplab_v2_resnet101", "full/budget", RESNET101],
    **{
        name: [f"lip/{name}", "full/budget"]
        for name in ("attention", "deeplab_v2", "fcn_8s", "hazn", "lg_lstm", "segnet")
    },
}
STEP2 = {
    "ss_nan_step2": ("ss_nan", []),
    "ss_nan_step2_none": ("ss_nan", ["ablation/step2_none"]),
    "ss_nan_resnet50_step2": ("ss_nan_resnet50", []),
    "ss_nan_resnet50_step2_none": ("ss_nan_resnet50", ["ablation/step2_none"]),
}
ORDER = (
    ("ss_nan", 0), ("ss_nan_step2", 0), ("ss_nan_resnet50", 0), ("ss_nan_resnet50_step2", 0),
    *((name, 0) for name in STEP1 if not name.startswith("ss_nan")),
    ("ss_nan_step2_none", 0), ("ss_nan_resnet50_step2_none", 0),
    *((name, seed) for seed in (1, 2) for name in ("ss_nan", "ss_nan_step2", "ss_nan_step2_none")),
)  # fmt: skip
"""Runs and seeds, what matters most first."""


def arguments_of(name: str, seed: int, also: list[str]) -> list[str]:
    """What ``ssnan train`` is told for one run."""
    if name in STEP1:
        configs, start = STEP1[name], []
    else:
        first, extra = STEP2[name]
        configs = [*STEP1[first][:1], "lip/ss_nan_step2", *STEP1[first][1:], "full/step2", *extra]
        start = [
            "--model.backbone_weights",
            "null",
            "--model.start_from",
            str(RUNS / first / f"seed{seed}/checkpoints/best.ckpt"),
        ]
    files = [*configs, *also]
    flags = [flag for file in files for flag in ("--config", str(file))]
    return [
        *flags,
        *start,
        "--output",
        str(RUNS / name / f"seed{seed}"),
        "--seed_everything",
        str(seed),
        "--data.seed",
        str(seed),
    ]


def train(minutes: float, also: list[str]) -> None:
    """Continue with the first unfinished run, then the next, until ``minutes`` are over."""
    from ssnan.training.main import train as run

    end = time.monotonic() + 60 * minutes
    for name, seed in ORDER:
        left = (end - time.monotonic()) / 60
        if left <= 0:
            return
        if not (RUNS / name / f"seed{seed}" / "results.json").is_file():
            print(f"{name}, seed {seed}: {left:.1f} minutes left", flush=True)
            run([*arguments_of(name, seed, also), "--stop_after", str(left)])


def measure(also: list[str], batches: list[int]) -> None:
    """Speed of the first run's network on its own data: forward, in training, and of the data alone."""
    from torch.utils.flop_counter import FlopCounterMode

    from ssnan.training.main import command_line

    cli = command_line([*arguments_of("ss_nan", 0, also), "--output", str(RUNS / "measure")])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task, data = cli.model.to(device, memory_format=torch.channels_last), cli.datamodule
    data.setup("fit")
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
                loss = task.criterion(task.forward_in_training(images), labels)["loss"]
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


def pack(roots: list[Path], output: Path, megabytes: float) -> None:
    """Archives of datasets in LIP's layout; each holds whole pictures and the lists that name them."""
    output.mkdir(parents=True, exist_ok=True)
    for root in roots:
        pairs = [(split, pair) for split in ("val", "train") for pair in open_split(root, split).pairs]
        parts: list[list[tuple[str, Pair]]] = [[]]
        filled = 0.0
        for split, pair in pairs:
            # An archive adds a header of 512 bytes to each file and fills it up to as many.
            size = sum(path.stat().st_size + 1024 for path in (pair.image, pair.mask)) / 1e6
            if filled + size > megabytes - 0.5:
                parts.append([])
                filled = 0.0
            parts[-1].append((split, pair))
            filled += size
        for number, part in enumerate(parts):
            with tarfile.open(output / f"{root.name}-{number}.tar", "w") as archive:
                for split, pair in part:
                    archive.add(pair.image.resolve(), f"{root.name}/{IMAGES}/{split}_images/{pair.image.name}")
                    archive.add(pair.mask.resolve(), f"{root.name}/{LABELS}/{split}_segmentations/{pair.mask.name}")
                for split in ("val", "train"):
                    ids = "".join(f"{pair.id}\n" for its, pair in part if its == split).encode()
                    entry = tarfile.TarInfo(f"{root.name}/{IMAGES}/{split}_id.txt")
                    entry.size = len(ids)
                    archive.addfile(entry, io.BytesIO(ids))


def unpack(parts: Path, output: Path) -> None:
    """What ``pack`` put together; the lists of a dataset's archives are joined."""
    for path in sorted(parts.glob("*.tar")):
        with tarfile.open(path) as archive:
            lists = [entry for entry in archive if entry.name.endswith("_id.txt")]
            # Before 3.11.4 there is no filter, nor a word for it; these archives are of our own making.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(output, [e for e in archive if e not in lists])
            for entry in lists:
                content = archive.extractfile(entry)
                (output / entry.name).parent.mkdir(parents=True, exist_ok=True)
                with (output / entry.name).open("ab") as ids:
                    ids.write(content.read() if content else b"")


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
    packing = commands.add_parser("pack")
    packing.add_argument("roots", type=Path, nargs="+")
    packing.add_argument("-o", "--output", type=Path, required=True)
    packing.add_argument("--megabytes", type=float, default=60.0)
    for name in ("unpack", "split", "join"):
        moving = commands.add_parser(name)
        moving.add_argument("source", type=Path)
        moving.add_argument("-o", "--output", type=Path, required=True)
    for name in ("train", "measure"):
        running = commands.add_parser(name)
        running.add_argument("--also", action="append", default=[])
    commands.choices["train"].add_argument("--minutes", type=float, required=True)
    commands.choices["measure"].add_argument("--batches", type=int, nargs="+", default=[10, 30, 60])
    told = parser.parse_args()
    match told.command:
        case "pack":
            pack(told.roots, told.output, told.megabytes)
        case "unpack":
            unpack(told.source, told.output)
        case "split":
            split(told.source, told.output)
        case "join":
            join(told.source, told.output)
        case "train":
            train(told.minutes, told.also)
        case "measure":
            measure(told.also, told.batches)


if __name__ == "__main__":
    main()
