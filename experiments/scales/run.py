"""Does learned aggregation beat pooling end to end? README.md has the rules, fixed before any run.

    python -m experiments.scales.run [--minutes 480] [--also FILE] [-o FOLDER]
    python -m experiments.scales.run --tables [-o FOLDER]

One process trains run after run, fold by fold, and decodes the photos once. Finished runs are kept, no run begins after
--minutes, and the same command goes on. --also experiments/scales/configs/gpu.yaml is for a GPU. --tables trains
nothing, needs no photos, and prints what the finished folds show.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.loop import DivergedError, device_at_hand, opened, plain, training
from experiments.measuring import Photos, mean_iou_over, save
from experiments.scales.comparison import curve_table, main_table, rates_table
from experiments.scales.folds import FOLDS, held_out, photos_of_fold, train_without, whole
from ssnan.data.datamodule import ParsingData
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.report import Row, markdown
from ssnan.losses import ParsingLoss
from ssnan.models import ParsingNetwork
from ssnan.training.task import ParsingTask

CONFIGS = Path(__file__).parent / "configs"
RIVALS = Path(__file__).parent.parent / "rivals" / "configs"
ARMS = {
    "one scale": RIVALS / "skip_net.yaml",
    "average": RIVALS / "average.yaml",
    "maximum": RIVALS / "maximum.yaml",
    "average + residual": CONFIGS / "residual.yaml",
    "SS-NAN": RIVALS / "ss_nan.yaml",
}
RATES = (0.004, 0.012, 0.036)
TUNING = 1600
"""Crops for each rate, when it is chosen."""
CURVE = (1600, 3200, 6400, 9600)
"""Crops after which an arm is measured; the last is its whole training."""
SIZES = {"half": 0.5, "own": 1.0, "double": 2.0}
"""The input relative to the usual one; the result is compared at the photo's own size."""


class Budget:
    """Data, photos and sizes of all runs.

    Args:
        also: recipes on top of each arm's.
        output: folder of the results.
        tuning, curve: see :data:`TUNING` and :data:`CURVE`.
    """

    def __init__(self, also: Sequence[Path], output: Path, tuning: int = TUNING, curve: Sequence[int] = CURVE) -> None:
        self.also, self.output, self.tuning, self.curve = also, output, tuning, curve
        self.device = device_at_hand()
        self.started: tuple[str, int] | None = None
        self.task(next(iter(ARMS)), 0)
        self.data: ParsingData = self.kept.datamodule
        self.data.setup("fit")
        self.folder = self.data.train_folders[0] = whole(self.data.sources[0].root)
        self.prepared: dict[tuple[str, int, str], Photos] = {}

    def photos(self, kind: str, fold: int, size: str = "own") -> Photos:
        """The photos that a fold tests (``test``) or chooses its rates on (``tune``), prepared once."""
        key = (kind, fold, size)
        if key not in self.prepared:
            self.prepared = {known: one for known, one in self.prepared.items() if known[1] == fold}
            chosen = (photos_of_fold if kind == "test" else held_out)(len(self.folder), fold)
            samples = [(self.folder[index], self.folder.label_set) for index in chosen.tolist()]
            self.prepared[key] = Photos(samples, self.data.preprocessing, self.device, SIZES[size])
        return self.prepared[key]

    def tune(self, arm: str, fold: int, rate: float) -> None:
        """Measure what a rate reaches on held-out training photos; a rate that diverges reaches nothing."""
        count = len(self.folder)
        train_without(self.data, np.concatenate([photos_of_fold(count, fold), held_out(count, fold)]))
        reached = -math.inf
        try:
            network = self._train(arm, fold, rate, self.tuning, (), {})
            pixels = self.photos("tune", fold).measured(network).pixels
            reached = float(mean_iou_over(slice(None))(pixels.sum(axis=0)))
        except DivergedError as error:
            print(f"{arm} at {rate:g}: {error}")
        path = rate_of(self.output, arm, fold, rate)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(reached) + "\n")

    def reached(self, arm: str, fold: int) -> list[float]:
        """What each rate reached."""
        return [json.loads(rate_of(self.output, arm, fold, rate).read_text()) for rate in RATES]

    def train(self, arm: str, fold: int) -> None:
        """Train an arm at the rate that reached most, and measure it on the way and, in all sizes, at the end."""
        train_without(self.data, photos_of_fold(len(self.folder), fold))
        reached = self.reached(arm, fold)
        rate = RATES[reached.index(max(reached))]
        counts = {"rate": np.array(rate), "reached": np.array(reached)}
        network = self._train(arm, fold, rate, self.curve[-1], self.curve, counts)
        for size in SIZES:
            counts[size] = self.photos("test", fold, size).measured(network).pixels
        save(result_of(self.output, arm, fold), counts)

    def _train(
        self, arm: str, fold: int, rate: float, crops: int, measured_at: Sequence[int], counts: dict[str, Counts]
    ) -> ParsingNetwork:
        """A network after ``crops``; what it counts at ``measured_at`` is added to ``counts``."""
        task = self.task(arm, fold)
        network = copy.deepcopy(task.network)
        self.data.samples_per_epoch, self.data.seed = crops, fold
        loss = plain(ParsingLoss(self.data.label_set, task.loss))
        sgd = replace(task.sgd, learning_rate=rate)
        for seen in training(network, loss, self.data, sgd, self.device):
            if seen in measured_at:
                counts[f"after {seen}"] = self.photos("test", fold).measured(network).pixels.sum(axis=0)
        return network

    def task(self, arm: str, fold: int) -> ParsingTask:
        """What an arm starts from in a fold, at every rate; not trained itself."""
        if self.started != (arm, fold):
            self.kept = opened([ARMS[arm], *self.also], seed=fold)
            if self.kept.model.backbone_weights is not None:
                self.kept.model.network.load_backbone(self.kept.model.backbone_weights)
            self.started = (arm, fold)
        return self.kept.model


def result_of(output: Path, arm: str, fold: int) -> Path:
    """Where the result of a run lies."""
    return output / f"fold{fold}" / f"{arm.replace(' ', '_')}.npz"


def rate_of(output: Path, arm: str, fold: int, rate: float) -> Path:
    """Where lies what a rate reached."""
    return output / f"fold{fold}" / f"{arm.replace(' ', '_')}_{rate:g}.json"


def go_on(budget: Budget, minutes: float) -> None:
    """Train what is missing, fold by fold, and begin nothing after ``minutes``."""
    began = time.monotonic()
    for fold in range(FOLDS):
        for arm in ARMS:
            pieces = [
                *((rate_of(budget.output, arm, fold, rate), budget.tune, (arm, fold, rate)) for rate in RATES),
                (result_of(budget.output, arm, fold), budget.train, (arm, fold)),
            ]
            for path, piece, arguments in pieces:
                if path.exists():
                    continue
                if time.monotonic() - began > 60 * minutes:
                    print(f"{minutes:g} minutes are over; the same command goes on")
                    return
                piece(*arguments)
                print(f"{(time.monotonic() - began) / 60:5.1f} min: {path}", flush=True)


def tables(output: Path) -> list[list[Row]]:
    """The tables of the folds in which all arms are finished.

    Raises:
        SystemExit: no fold is finished.
    """
    folds = [fold for fold in range(FOLDS) if all(result_of(output, arm, fold).exists() for arm in ARMS)]
    if not folds:
        raise SystemExit(f"no fold is finished in {output}; give more --minutes")
    found = {arm: [dict(np.load(result_of(output, arm, fold))) for fold in folds] for arm in ARMS}
    return [main_table(found), curve_table(found), rates_table(found, RATES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=480)
    parser.add_argument("--also", type=Path, action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/scales"))
    parser.add_argument("--tables", action="store_true")
    options = parser.parse_args()
    if not options.tables:
        go_on(Budget([CONFIGS / "budget.yaml", *options.also], options.output), options.minutes)
    for rows in tables(options.output):
        print(markdown(rows), end="\n\n")


if __name__ == "__main__":
    main()
