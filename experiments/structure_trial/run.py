"""Does structure made from the label maps help where sides are hard? README.md has the rules, fixed before any run.

    python -m experiments.structure_trial.run [--minutes 480] [--seeds 0,1,2,3,4] [--also FILE] [-o FOLDER]
    python -m experiments.structure_trial.run --tables
    python -m experiments.structure_trial.run --results experiments/structure_trial/results.csv

One process trains run after run, most important first, and decodes the photos once. Finished runs are kept, no run
begins after --minutes, and the same command goes on. --also experiments/structure_trial/gpu.yaml is for a GPU.
--tables trains nothing and prints what the finished runs show; --results prints the table kept here and needs no data.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import save_file

from experiments.loop import DivergedError, device_at_hand, finish, opened, training
from experiments.measuring import Measured, Photos, photo_of
from experiments.structure_trial.arms import ARMS, DECIDING, NONE, SHARES
from experiments.structure_trial.comparison import COLUMNS, table
from experiments.tables import show, write
from ssnan.data.datamodule import ParsingData
from ssnan.data.layouts import open_split
from ssnan.models import ParsingNetwork
from ssnan.models.initial_weights import read_network, take_over
from ssnan.training.task import ParsingTask, SGDOptions

RECIPE = Path(__file__).with_name("recipe.yaml")
IMAGENET = "data/weights/resnet50-v1-imagenet.safetensors"
MARKED, UNMARKED = Path("runs/taught/lip-marks"), Path("runs/taught/lip-photos")
"""Test photos are the val splits of both; IoU is measured on the first, sides on both."""

CROPS = 1600
"""Of each arm."""
STEP_ONE, STEP_ONE_RATE = 12800, 0.008
"""Crops and rate between ImageNet and the base ``early``."""
RATES = {"converged": 0.002, "early": 0.004}
"""Of the arms, by the base that they start from."""


class Run(NamedTuple):
    base: str
    arm: str
    share: float
    seed: int

    @property
    def path(self) -> Path:
        """Where its result lies, in the folder of all."""
        share = f"_{self.share:g}" if ARMS[self.arm].shared else ""
        return Path(self.base) / f"{self.arm.replace(' ', '_')}{share}" / f"seed{self.seed}.npz"


def order(seeds: Sequence[int]) -> list[Run]:
    """All runs, most important first: the share that decides, in it the arms that decide, base by base."""
    runs = [
        Run(base, arm, share, seed)
        for share in SHARES
        for base in RATES
        for seed in seeds
        for arm in ARMS
        if share == SHARES[0] or ARMS[arm].shared
    ]
    return sorted(runs, key=lambda planned: (SHARES.index(planned.share), planned.arm not in DECIDING))


class Trial:
    """Data, photos and bases of all runs.

    Args:
        task: its network, not yet trained, its loss and its rates are those of every run.
        data: the training data, not yet set up.
        tests: the datasets whose val splits are measured, the first of them with masks to trust.
        output: folder of the results.
        crops, step_one: crops of an arm, and of the step before ``early``.
        imagenet: weights of the backbone that ``early`` starts from; random if None.
        converged: weights of the base ``converged``.
    """

    def __init__(
        self,
        task: ParsingTask,
        data: ParsingData,
        tests: Sequence[Path],
        output: Path,
        crops: int = CROPS,
        step_one: int = STEP_ONE,
        imagenet: str | None = IMAGENET,
        converged: str | Path = "small",
    ) -> None:
        self.task, self.data, self.output = task, data, output
        self.crops, self.step_one = crops, step_one
        self.imagenet, self.converged = imagenet, converged
        self.device = device_at_hand()
        refuse_known_people(tests)
        folders = [open_split(root, "val") for root in tests]
        self.marked = len(folders[0])
        samples = [(folder[index], folder.label_set) for folder in folders for index in range(len(folder))]
        self.photos = Photos(samples, data.preprocessing, self.device)
        data.setup("fit")
        self.bases: dict[str, ParsingNetwork] = {}

    def base(self, name: str) -> ParsingNetwork:
        """The network that the arms start from; ``early`` is trained once, and both are measured untouched."""
        if name not in self.bases:
            network = copy.deepcopy(self.task.network)
            weights = self.output / "early.safetensors"
            if name == "early" and not weights.exists():
                self._step_one(copy.deepcopy(network), weights)
            take_over(network, read_network(weights if name == "early" else self.converged))
            self.bases[name] = network.to(self.device)
            untouched = self.output / name / "untouched.npz"
            if not untouched.exists():
                self._measure(copy.deepcopy(network), untouched)
        return self.bases[name]

    def _step_one(self, network: ParsingNetwork, weights: Path) -> None:
        """Train from ImageNet without structure, as the paper's first step. Stored in 16 bits, to travel."""
        if self.imagenet is not None:
            network.load_backbone(self.imagenet)
        self._train(network, NONE, 0.0, self.step_one, seed=100, rate=STEP_ONE_RATE)
        state = network.cpu().state_dict()
        stored = {
            f"network.{name}": value.half() if value.is_floating_point() else value for name, value in state.items()
        }
        weights.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in stored.items()}, weights)

    def run(self, planned: Run) -> None:
        """Train and measure one run, unless its result is there."""
        path = self.output / planned.path
        if path.exists():
            return
        network = copy.deepcopy(self.base(planned.base))
        try:
            self._train(network, planned.arm, planned.share, self.crops, planned.seed, RATES[planned.base])
        except DivergedError as error:
            print(f"{planned.path}: no result, {error}")
        else:
            self._measure(network, path)

    def _train(self, network: ParsingNetwork, arm: str, share: float, crops: int, seed: int, rate: float) -> None:
        self.data.samples_per_epoch, self.data.seed = crops, seed
        loss = ARMS[arm].loss(replace(self.task.label_set, sets=self.data.label_set.sets), self.task.loss, share)
        sgd: SGDOptions = replace(self.task.sgd, learning_rate=rate)
        finish(training(network, loss, self.data, sgd, self.device))

    def _measure(self, network: ParsingNetwork, path: Path) -> None:
        measured = self.photos.measured(network)
        measured._replace(pixels=measured.pixels[: self.marked]).save(path)


def refuse_known_people(tests: Sequence[Path]) -> None:
    """Refuse test photos whose COCO photo also gave a training photo.

    Raises:
        SystemExit: there is one; the message names it.
    """
    test, train = (
        {photo_of(pair.id) for root in tests for pair in open_split(root, split).pairs} for split in ("val", "train")
    )
    if test & train:
        raise SystemExit(f"COCO photo {min(test & train)} is in train and in val; make the datasets again")


def tables(output: Path, seeds: Sequence[int]) -> Path:
    """Write what the finished runs show, and say where."""
    runs = {
        planned: Measured.read(output / planned.path) for planned in order(seeds) if (output / planned.path).exists()
    }
    untouched = {
        base: Measured.read(output / base / "untouched.npz") for base in dict.fromkeys(planned.base for planned in runs)
    }
    path = output / "results.csv"
    write([list(COLUMNS), *table({tuple(planned): found for planned, found in runs.items()}, untouched)], path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=480)
    parser.add_argument("--also", type=Path, action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/structure_trial"))
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--results", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.results is not None:
        show(options.results)
        return
    if not options.tables:
        began = time.monotonic()
        cli = opened([RECIPE, *options.also])
        trial = Trial(cli.model, cli.datamodule, (MARKED, UNMARKED), options.output)
        for base in RATES:
            trial.base(base)
        for planned in order(options.seeds):
            if (options.output / planned.path).exists():
                continue
            if time.monotonic() - began > 60 * options.minutes:
                print(f"{options.minutes:g} minutes are over; the same command goes on")
                break
            trial.run(planned)
            print(f"{(time.monotonic() - began) / 60:5.1f} min: {planned.path}", flush=True)
    show(tables(options.output, options.seeds))


if __name__ == "__main__":
    main()
