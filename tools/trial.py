"""What structure buys on top of a converged model: the fair trial of docs/results.md.

    trial.py [--seeds 0,1,2,3,4] [--minutes 90] [--output runs/trial]

Each file of configs/trial is one more step from the same model, on the same crops for each seed. All are measured on
the ccp-lip val pictures and on two harder versions of each: turned by 30 to 60 degrees, and mirrored and cut to a part
of the person. Seeds come outermost, finished runs are kept, and no run begins after --minutes. Then the tables: every
arm beside ``none``, seed by seed, mean difference ± half its 95 % interval over seeds, and 95 % of a bootstrap
over photos.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan import load
from ssnan.data.layouts import open_split
from ssnan.evaluation import bootstrap
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.metrics import iou_of
from ssnan.evaluation.report import PICTURES, RESULTS
from ssnan.labels import LIP
from ssnan.parsing.images import palette_image

ARMS = ("none", "product", "weighted", "decided", "sides")
VERSIONS = ("plain", "turned", "part")
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
                both = np.stack([probabilities(LIP.classes[one])[limb] for one in (left, right)])
                unsure.append(both.min(axis=0) / np.maximum(both.sum(axis=0), 1e-6))
            if (values := np.concatenate(unsure)).size:
                found[sample.id] = float(values.mean())
        where.write_text(json.dumps(found))
    return json.loads(where.read_text())


def train(arm: str, seed: int, output: Path) -> None:
    command = ["ssnan", "train", "--config", "trial/base", "--config", f"trial/{arm}"]
    command += ["--output", str(output / arm / f"seed{seed}"), "--seed_everything", str(seed), "--data.seed", str(seed)]
    subprocess.run([*command, "--trainer.enable_progress_bar", "false"], check=True)


def mean_iou(counts: Counts) -> NDArray[np.float64]:
    return 100 * np.nanmean(iou_of(counts), axis=-1)


def limb_iou(counts: Counts) -> NDArray[np.float64]:
    return 100 * np.nanmean(iou_of(counts)[..., LIMBS], axis=-1)


def difference(arm: Counts, base: Counts, measure: Measure, names: list[str]) -> str:
    """Of counts (seeds, pictures, 3, C) of named pictures."""
    by_seed = measure(arm.sum(axis=1)) - measure(base.sum(axis=1))
    low, high = bootstrap.interval(base, arm, measure, names)
    error = f" ± {bootstrap.half_width(by_seed.tolist()):.2f}" if len(by_seed) > 1 else ""
    return f"{by_seed.mean():+.2f}{error} ({low:+.2f} … {high:+.2f})"


def tables(output: Path, seeds: list[int]) -> None:
    counts, results = {}, {}
    unsure = ambiguity(output / "pictures")
    for arm in ARMS:
        folders = [output / arm / f"seed{seed}" for seed in seeds]
        of_pictures = [json.loads((folder / PICTURES).read_text()) for folder in folders]
        counts[arm] = [np.array([one[name] for name in sorted(one)]) for one in of_pictures]
        results[arm] = [json.loads((folder / RESULTS).read_text()) for folder in folders]
        names = sorted(of_pictures[0])
    edges = np.quantile(list(unsure.values()), (1 / 3, 2 / 3))
    third = {name: int(np.searchsorted(edges, value)) for name, value in unsure.items()}
    groups = {"all": [True] * len(names)}
    groups |= {version: [name.startswith(version) for name in names] for version in VERSIONS}
    groups |= {
        f"sides {word}": [third.get(name) == index for name in names]
        for index, word in enumerate(("clear", "between", "ambiguous"))
    }
    print("| arm | mean IoU | limb IoU | limb pairs exchanged | joints off, % | missed, % | calibration error, % |")
    print("|---" * 7 + "|")
    for arm in ARMS:
        cells = (
            [float(mean_iou(one.sum(axis=0))) for one in counts[arm]],
            [float(limb_iou(one.sum(axis=0))) for one in counts[arm]],
        )
        structure = [
            [factor * run["structure"][key] for run in results[arm]]
            for key, factor in (
                ("limb_pairs_exchanged", 1),
                ("hard_joint_offset", 100),
                ("hard_joints_missed", 100),
                ("calibration_error", 100),
            )
        ]
        print("|", arm, "|", " | ".join(f"{mean(cell):.2f}" for cell in (*cells, *structure)), "|")
    for title, measure in (("mean IoU", mean_iou), ("limb IoU", limb_iou)):
        print(f"\n| {title}, beside `none`: pictures |", " | ".join(ARMS[1:]), "|")
        print("|---" * len(ARMS) + "|")
        for group, inside in groups.items():
            chosen = np.flatnonzero(inside)
            base = np.stack([one[chosen] for one in counts["none"]])
            of_arms = (np.stack([one[chosen] for one in counts[arm]]) for arm in ARMS[1:])
            cells = [difference(of_arm, base, measure, [names[i] for i in chosen]) for of_arm in of_arms]
            print(f"| {group} ({len(chosen)}) |", " | ".join(cells), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/trial"))
    options = parser.parse_args()
    started, done = time.monotonic(), []
    for seed in options.seeds:
        for arm in ARMS:
            if not (options.output / arm / f"seed{seed}" / RESULTS).exists():
                if time.monotonic() - started > 60 * options.minutes:
                    break
                write_pictures(Path("data/ccp-lip"), options.output / "pictures")
                train(arm, seed, options.output)
        else:
            done.append(seed)
    print(f"{len(done)} seeds: {done}")
    if done:
        tables(options.output, done)


if __name__ == "__main__":
    main()
