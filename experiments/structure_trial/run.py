"""What structure buys on top of a converged model, in a trial whose rules were fixed before its first run.

    python -m experiments.structure_trial.run [--seeds 0,1,2,3,4] [--minutes 90] [-o runs/structure_trial]
    python -m experiments.structure_trial.run --results experiments/structure_trial/results.csv

Each arm is one more step from the same model, on the same crops for each seed. All are measured on the ccp-lip val
pictures and on two harder versions of each: turned by 30 to 60 degrees, and mirrored and cut to a part of the person.
Seeds come outermost, finished runs are kept, and no run begins after --minutes. Then ``results.csv`` is written beside
the runs and its tables printed: every arm beside ``none``, seed by seed, mean difference ± half its 95 % interval over
seeds, and 95 % of a bootstrap over photos. --results prints the tables of such a file and trains nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments.training import train
from ssnan import load
from ssnan.data.layouts import open_split
from ssnan.evaluation import bootstrap
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.metrics import iou_of
from ssnan.evaluation.report import PICTURES, RESULTS, markdown
from ssnan.io.masks import palette_image
from ssnan.labels import LIP

ARMS = ("none", "product", "weighted", "decided", "sides")
VERSIONS = ("plain", "turned", "part")
CONFIGS = Path(__file__).parent / "configs"
Measure = Callable[[Counts], NDArray[np.float64]]
LIMBS = [class_id for pair in LIP.flip_pairs for class_id in pair]


def harder(photo: Image.Image, mask: Image.Image, random: np.random.Generator) -> dict[str, list[Image.Image]]:
    """Photo and mask as they are, turned, and mirrored and cut to between a third and two thirds of the person."""
    angle = float(random.uniform(30, 60) * random.choice([-1, 1]))
    turned = [
        photo.rotate(angle, Image.Resampling.BICUBIC, expand=True),
        mask.rotate(angle, Image.Resampling.NEAREST, expand=True, fillcolor=LIP.ignore_index),
    ]
    swap = np.arange(256)
    for left, right in LIP.flip_pairs:
        swap[[left, right]] = right, left
    ids = swap[np.array(mask)[:, ::-1]].astype(np.uint8)
    rows, columns = np.nonzero((ids > 0) & (ids < len(LIP)))
    top, height = rows.min(), rows.max() + 1 - rows.min()
    share = random.uniform(1 / 3, 2 / 3)
    first = int(top + random.uniform(0, 1 - share) * height)
    box = (int(columns.min()), first, int(columns.max()) + 1, first + max(32, int(share * height)))
    part = [photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop(box), Image.fromarray(ids).crop(box)]
    return {"plain": [photo, mask], "turned": turned, "part": part}


def write_pictures(dataset: Path, root: Path) -> None:
    """All versions of the val pictures of ``dataset``, in LIP's layout, its own train pictures left where they are."""
    if (root / "val_id.txt").exists():
        return
    random, names = np.random.default_rng(0), []
    for folder in ("val_images", "val_segmentations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for sample in open_split(dataset, "val"):
        versions = harder(Image.fromarray(sample.image), Image.fromarray(sample.labels), random)
        for version, (photo, mask) in versions.items():
            names.append(f"{version}_{sample.id}")
            photo.save(root / "val_images" / f"{names[-1]}.jpg", quality=95)
            palette_image(np.array(mask), LIP).save(root / "val_segmentations" / f"{names[-1]}.png")
    (root / "val_id.txt").write_text("\n".join(names) + "\n")


def ambiguity(root: Path) -> dict[str, float]:
    """How unsure the model that all arms begin with is of the sides of a picture's limbs: the share of a limb's
    probability that the other side has where it has less, averaged over the limbs' pixels, 0 to 0.5."""
    where = root.parent / "ambiguity.json"
    if not where.exists():
        parser, found = load("small"), {}
        for sample in open_split(root, "val"):
            probabilities = parser(sample.image).probability
            unsure = []
            for left, right in LIP.flip_pairs:
                limb = np.isin(sample.labels, (left, right))
                both = np.stack([probabilities(LIP.classes[side])[limb] for side in (left, right)])
                unsure.append(both.min(axis=0) / np.maximum(both.sum(axis=0), 1e-6))
            if (values := np.concatenate(unsure)).size:
                found[sample.id] = float(values.mean())
        where.write_text(json.dumps(found))
    return json.loads(where.read_text())


class Row(NamedTuple):
    """One number of one arm, on one group of pictures.

    Attributes:
        measure: a column of the first table.
        group: of pictures.
        pictures: in the group.
        arm: the arm.
        by_seed: the number, seed by seed.
        interval: 95 % of a bootstrap over photos of the mean difference to ``none``; empty where there is none.
    """

    measure: str
    group: str
    pictures: int
    arm: str
    by_seed: list[float]
    interval: tuple[float, ...]


def mean_iou(counts: Counts) -> NDArray[np.float64]:
    return 100 * np.nanmean(iou_of(counts), axis=-1)


def limb_iou(counts: Counts) -> NDArray[np.float64]:
    return 100 * np.nanmean(iou_of(counts)[..., LIMBS], axis=-1)


OF_PIXELS: dict[str, Measure] = {"mean IoU": mean_iou, "limb IoU": limb_iou}
OF_RUNS = {
    "limb pairs swapped": ("limb_pairs_exchanged", 1),
    "joint offset, %": ("hard_joint_offset", 100),
    "joints missed, %": ("hard_joints_missed", 100),
    "calibration error, %": ("calibration_error", 100),
}
"""Measures that a run's own results hold, by their names there and factors."""


def groups_of(names: list[str], unsure: dict[str, float]) -> dict[str, list[int]]:
    """Positions of the pictures of each group: all, each version, and each third by how unsure the sides are."""
    edges = np.quantile(list(unsure.values()), (1 / 3, 2 / 3))
    third = {name: int(np.searchsorted(edges, value)) for name, value in unsure.items()}
    groups = {"all": list(range(len(names)))}
    groups |= {version: [i for i, name in enumerate(names) if name.startswith(version)] for version in VERSIONS}
    for number, word in enumerate(("clear", "between", "ambiguous")):
        groups[f"sides {word}"] = [i for i, name in enumerate(names) if third.get(name) == number]
    return groups


def measured(output: Path, seeds: list[int]) -> list[Row]:
    """What the finished runs of these seeds reached."""
    counts, rows, names = {}, [], []
    for arm in ARMS:
        folders = [output / arm / f"seed{seed}" for seed in seeds]
        of_pictures = [json.loads((folder / PICTURES).read_text()) for folder in folders]
        names = sorted(of_pictures[0])
        counts[arm] = np.array([[counts_of[name] for name in names] for counts_of in of_pictures])
        runs = [json.loads((folder / RESULTS).read_text())["structure"] for folder in folders]
        for measure, (key, factor) in OF_RUNS.items():
            rows.append(Row(measure, "all", len(names), arm, [factor * run[key] for run in runs], ()))
    for group, inside in groups_of(names, ambiguity(output / "pictures")).items():
        base = counts["none"][:, inside]
        for measure, of in OF_PIXELS.items():
            for arm in ARMS:
                here = counts[arm][:, inside]
                chosen = [names[i] for i in inside]
                interval = () if arm == "none" else bootstrap.interval(base, here, of, chosen)
                rows.append(Row(measure, group, len(inside), arm, of(here.sum(axis=1)).tolist(), interval))
    return rows


def write(rows: list[Row], path: Path) -> None:
    head = ["measure", "group", "pictures", "arm", *(f"seed{i}" for i in range(len(rows[0].by_seed))), "low", "high"]
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        for row in rows:
            numbers = [f"{value:.7g}" for value in (*row.by_seed, *row.interval)]
            table.writerow([*row[:4], *numbers, *[""] * (2 - len(row.interval))])


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        _, *lines = csv.reader(file)
    return [
        Row(
            measure,
            group,
            int(pictures),
            arm,
            list(map(float, numbers[:-2])),
            tuple(map(float, filter(None, numbers[-2:]))),
        )
        for measure, group, pictures, arm, *numbers in lines
    ]


def difference(row: Row, base: Row) -> str:
    """Mean difference of an arm to the base, ± half its 95 % interval over seeds (95 % of the bootstrap)."""
    by_seed = [here - there for here, there in zip(row.by_seed, base.by_seed, strict=True)]
    error = f" ± {bootstrap.half_width(by_seed):.2f}" if len(by_seed) > 1 else ""
    low, high = row.interval
    return f"{mean(by_seed):+.2f}{error} ({low:+.2f} … {high:+.2f})"


def print_tables(rows: list[Row]) -> None:
    found = {(row.measure, row.group, row.arm): row for row in rows}
    columns = [*OF_PIXELS, *OF_RUNS]
    cells = [[arm, *(f"{mean(found[column, 'all', arm].by_seed):.2f}" for column in columns)] for arm in ARMS]
    print(markdown([["arm", *columns], *cells]))
    for measure in OF_PIXELS:
        table = [[f"{measure}, beside `none`: pictures", *ARMS[1:]]]
        for group, pictures in {row.group: row.pictures for row in rows}.items():
            base = found[measure, group, "none"]
            table.append([f"{group} ({pictures})", *(difference(found[measure, group, arm], base) for arm in ARMS[1:])])
        print(f"\n{markdown(table)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/structure_trial"))
    parser.add_argument("--results", type=Path, metavar="FILE", help="print the tables of this file, train nothing")
    options = parser.parse_args()
    if options.results is not None:
        print_tables(read(options.results))
        return
    started, done = time.monotonic(), []
    for seed in options.seeds:
        for arm in ARMS:
            if not (options.output / arm / f"seed{seed}" / RESULTS).exists():
                if time.monotonic() - started > 60 * options.minutes:
                    break
                write_pictures(Path("data/ccp-lip"), options.output / "pictures")
                configs = [CONFIGS / "base.yaml", CONFIGS / f"{arm}.yaml"]
                train(options.output / arm / f"seed{seed}", configs, seed)
        else:
            done.append(seed)
    print(f"{len(done)} seeds: {done}")
    if done:
        rows = measured(options.output, done)
        write(rows, options.output / "results.csv")
        print_tables(rows)


if __name__ == "__main__":
    main()
