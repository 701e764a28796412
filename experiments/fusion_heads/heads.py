"""Do weights for each pixel fuse scales better because they adapt, or because they are many?

    python -m experiments.fusion_heads.heads TRUNK [--seeds 0,1,2,3,4] [--steps 200] [--minutes 60]
    python -m experiments.fusion_heads.heads --results experiments/fusion_heads/results.csv

TRUNK is the last.ckpt of a training with trunk.yaml. It is frozen, and one forward pass feeds all ways to fuse its
scales. README.md says what is compared and what counts as a result. Finished seeds are kept, and no seed begins after
--minutes. The table is kept in ``results.csv``; --results prints the table of such a file and trains nothing.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from experiments.fusion_heads.trunk import PerScale
from experiments.measuring import difference, mean_iou_over, save
from experiments.tables import show, write
from ssnan.data.datamodule import ParsingData
from ssnan.data.folder import Sample
from ssnan.evaluation.metrics import class_counts, confusion_matrix, frequent_classes
from ssnan.evaluation.report import Row, markdown
from ssnan.labels import LabelSet
from ssnan.losses import LossOptions, ParsingLoss
from ssnan.models import (
    Aggregation,
    AverageAggregation,
    MaximumAggregation,
    NeuralAggregation,
    ParsingOutput,
    SharedNeuralAggregation,
)
from ssnan.models.aggregation import weighted_sum
from ssnan.models.heads import classifier
from ssnan.parsing.preprocessing import Preprocessing

HIDDEN = 512
RATES = (3e-4, 1e-3, 3e-3)
"""Adam's; each head at the one with the least loss on the crops of its last quarter."""
BASE, MODULE = "average", "paper's module"

Maps = list[Tensor]
"""Scores of each scale, (B, C, h, w), coarsest first."""
Counts = dict[str, NDArray[np.int64]]
"""Of every head, what each photo counts: (N, 3, C), see :func:`ssnan.evaluation.metrics.class_counts`."""


class Single(nn.Module):
    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, maps: Maps) -> Tensor:
        return maps[self.scale]


class Constant(nn.Module):
    """A learned weight for each scale, or for each class and scale, which all pixels share."""

    def __init__(self, num_scales: int, num_classes: int = 1) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_scales, 1, num_classes, 1, 1))

    def forward(self, maps: Maps) -> Tensor:
        return (self.logits.softmax(dim=0) * torch.stack(maps)).sum(dim=0)


class Fused(nn.Module):
    def __init__(self, aggregation: Aggregation) -> None:
        super().__init__()
        self.aggregation = aggregation

    def forward(self, maps: Maps) -> Tensor:
        return self.aggregation(maps)[0]


class Residual(nn.Module):
    """The average, and what two convolutions that read what the paper's module reads add to it: as many parameters,
    no weights."""

    def __init__(self, channels: int, num_scales: int, hidden: int) -> None:
        super().__init__()
        module = NeuralAggregation(channels, num_scales, hidden)
        wanted = sum(parameter.numel() for parameter in module.parameters())
        width = round((wanted - channels) / (9 * channels * num_scales + 1 + 9 * channels))
        self.added = nn.Sequential(
            classifier(channels * num_scales, width, 3), nn.ReLU(inplace=True), classifier(width, channels, 3)
        )

    def forward(self, maps: Maps) -> Tensor:
        return torch.stack(maps).mean(dim=0) + self.added(torch.cat(maps, dim=1))


class Shuffled(nn.Module):
    """The weights of a trained module, exchanged between the pixels of each photo: the same values at wrong places."""

    def __init__(self, aggregation: Aggregation, seed: int) -> None:
        super().__init__()
        self.aggregation = aggregation
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, maps: Maps) -> Tensor:
        _, weights = self.aggregation(maps)
        order = torch.randperm(weights[0, 0].numel(), generator=self.random)
        return weighted_sum(weights.flatten(2)[:, :, order].view_as(weights), maps)


def build_heads(channels: int, scales: Sequence[float], hidden: int = HIDDEN) -> dict[str, nn.Module]:
    """Every way to fuse ``scales`` that is trained or needs no training, by name."""
    count = len(scales)
    return {
        **{f"scale {scale:g} alone": Single(index) for index, scale in enumerate(scales)},
        BASE: Fused(AverageAggregation()),
        "maximum": Fused(MaximumAggregation()),
        "constant per scale": Constant(count),
        "constant per class and scale": Constant(count, channels),
        MODULE: Fused(NeuralAggregation(channels, count, hidden)),
        "shared module": Fused(SharedNeuralAggregation(channels, hidden)),
        "average + residual": Residual(channels, count, hidden),
    }


@torch.no_grad()
def scale_maps(trunk: PerScale, images: Tensor) -> Maps:
    """Scores of each scale, in the precision that the trunk was trained in."""
    with torch.autocast(images.device.type, torch.bfloat16):
        output = trunk(images)
    return [scores.float() for scores in (*output.scale_scores, output.scores)]


def trained(
    trunk: PerScale,
    heads: dict[str, nn.Module],
    batches: Iterable[dict[str, Tensor]],
    steps: int,
    criterion: ParsingLoss,
) -> dict[str, nn.Module]:
    """``heads``; those with parameters are trained on the same ``steps`` batches, each at the best of its rates."""
    runs = []
    for name, head in heads.items():
        for rate in RATES if list(head.parameters()) else ():
            own = copy.deepcopy(head)
            optimizer = torch.optim.Adam(own.parameters(), rate)
            poly = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps) ** 0.9)
            runs.append((name, own, optimizer, poly, []))
    for batch in batches:
        maps = scale_maps(trunk, batch["images"])
        for _, head, optimizer, poly, losses in runs:
            loss = criterion(ParsingOutput(head(maps)), batch["labels"])["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            poly.step()
            losses.append(loss.item())
    found = dict(heads)
    least = dict.fromkeys(heads, math.inf)
    for name, head, _, _, losses in runs:
        late = mean(losses[-max(1, steps // 4) :])
        if late < least[name]:  # never of a loss that is not a number
            least[name], found[name] = late, head
    return found


@torch.no_grad()
def measured(heads: dict[str, nn.Module], photos: Sequence[tuple[Sample, Maps]], label_set: LabelSet) -> Counts:
    """What every head counts on photos at their own size."""
    counts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in heads}
    for sample, maps in photos:
        for name, head in heads.items():
            scores = interpolate(head(maps), size=sample.labels.shape, mode="bilinear", align_corners=True)
            decided = scores[0].argmax(dim=0).to(torch.uint8).numpy()
            counts[name].append(class_counts(confusion_matrix(sample.labels, decided, label_set), label_set.sets))
    return {name: np.stack(of_photos) for name, of_photos in counts.items()}


def run(
    trunk: PerScale, data: ParsingData, preprocessing: Preprocessing, seeds: Sequence[int], steps: int, output: Path,
    minutes: float = math.inf, hidden: int = HIDDEN, stride: int = 4,
) -> str:  # fmt: skip
    """Train and measure all heads seed by seed, and say in a table how they compare."""
    trunk.eval().requires_grad_(False)
    output.mkdir(parents=True, exist_ok=True)
    data.samples_per_epoch = steps * data.batch_size
    data.setup("fit")
    label_set = data.val_folder.label_set
    criterion = ParsingLoss(data.label_set, LossOptions(deep_supervision=False, stride=stride))
    samples = [data.val_folder[index] for index in range(len(data.val_folder))]
    began, photos = time.monotonic(), []
    for seed in seeds:
        path = output / f"seed{seed}.npz"
        if path.exists():
            continue
        if time.monotonic() - began > 60 * minutes:
            print(f"{minutes:g} minutes are over: seed {seed} and those after it are left out")
            break
        photos = photos or [
            (sample, scale_maps(trunk, torch.from_numpy(preprocessing(sample.image))[None])) for sample in samples
        ]
        torch.manual_seed(seed)
        data.seed = seed
        heads = trained(
            trunk, build_heads(trunk.num_classes, trunk.scales, hidden), data.train_dataloader(), steps, criterion
        )
        heads[f"{MODULE}, shuffled"] = Shuffled(heads[MODULE].aggregation, seed)
        save(path, measured(heads, photos, label_set))
        print(f"seed {seed}: {(time.monotonic() - began) / 60:.0f} minutes")
    finished = [dict(np.load(path)) for seed in seeds if (path := output / f"seed{seed}.npz").exists()]
    if not finished:
        raise SystemExit("no seed is finished; give more --minutes")
    sizes = {
        name: sum(parameter.numel() for parameter in head.parameters())
        for name, head in build_heads(trunk.num_classes, trunk.scales, hidden).items()
    }
    rows = table(finished, [sample.id for sample in samples], label_set, sizes)
    write(rows, output / "results.csv")
    return markdown(rows)


def table(seeds: Sequence[Counts], names: Sequence[str], label_set: LabelSet, sizes: dict[str, int]) -> list[Row]:
    """A row a head: means over the seeds, and its mean IoU less that of the average and of the paper's module, ± half
    the 95 % interval over the seeds (t), and the 95 % interval of a bootstrap over the photos."""
    photos = dict(zip(names, seeds[0][BASE], strict=True))
    frequent = [label_set.classes.index(name) for name in frequent_classes(photos, label_set)]
    mean_iou, of_frequent = mean_iou_over(slice(None)), mean_iou_over(frequent)
    counts = {name: np.stack([seed[name] for seed in seeds]) for name in seeds[0]}
    head = ["Head", "Parameters", "Mean IoU", f"{len(frequent)} frequent classes", f"minus {BASE}", f"minus {MODULE}"]
    rows: list[Row] = [head]
    for name, own in counts.items():
        row = [name, f"{sizes.get(name, sizes[MODULE]):,}", f"{mean_iou(own.sum(axis=1)).mean():.2f}"]
        row.append(f"{of_frequent(own.sum(axis=1)).mean():.2f}" if frequent else "–")
        row += [difference(counts[base], own, mean_iou, names) if name != base else "" for base in (BASE, MODULE)]
        rows.append(row)
    return rows


def main() -> None:
    from ssnan.training.checkpoint import read_task
    from ssnan.training.cli import command_line

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trunk", type=Path, nargs="?")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).with_name("trunk.yaml"))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--output", type=Path, default=Path("runs/heads"))
    parser.add_argument("--results", type=Path, metavar="FILE", help="print the table of this file, train nothing")
    options = parser.parse_args()
    if options.results is not None:
        show(options.results)
        return
    if options.trunk is None:
        parser.error("expected TRUNK, the checkpoint of trunk.yaml, or --results FILE")
    task = read_task(options.trunk)
    if not isinstance(task.network, PerScale):
        parser.error(f"expected a checkpoint of trunk.PerScale, got one of {type(task.network).__name__}")
    data = command_line(["--config", str(options.recipe)]).datamodule
    seeds = [int(seed) for seed in options.seeds.split(",")]
    print(run(task.network, data, task.preprocessing, seeds, options.steps, options.output, options.minutes))


if __name__ == "__main__":
    main()
