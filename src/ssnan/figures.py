"""The paper's figures, drawn from one's own runs: 3 (joints), 4 (systems side by side), 5 (scale weights)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ssnan.batch import find_inputs
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.images import read_rgb
from ssnan.parser import Parser
from ssnan.render import grid, heat, joints_over, map_over
from ssnan.report import System
from ssnan.result import ParsingResult
from ssnan.training.checkpoint import TorchEngine, read_task
from ssnan.training.task import ParsingTask


class Photo(NamedTuple):
    """A photo (H, W, 3) and its ground truth (H, W), if it has one."""

    rgb: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None


def draw(systems: Sequence[System], photos: Path, count: int, output: Path) -> list[Path]:
    """Write ``side_by_side.jpg``, ``scale_weights.jpg`` and ``joints.jpg`` into ``output``, with the
    first run's best checkpoint of every system.

    Args:
        systems: what to show.
        photos: a folder of photos, or a dataset whose ``val`` pictures are shown beside their truth.
        count: how many photos, evenly spread.
        output: folder that exists.

    Returns:
        The files written; scale weights only where a system learns them, joints where the labels have them.

    Raises:
        ValueError: no photos, or no checkpoint in a run's folder.
    """
    chosen = _choose(photos, count)
    tasks = [read_task(system.folders[0] / "checkpoints" / "best.ckpt") for system in systems]
    names = [system.name for system in systems]
    label_set = tasks[0].label_set
    rows: list[list[Image.Image]] = [[Image.fromarray(photo.rgb)] for photo in chosen]
    heads = ["photo", *names]
    if all(photo.labels is not None for photo in chosen):
        heads.insert(1, "ground truth")
        for row, photo in zip(rows, chosen, strict=True):
            row += [map_over(photo.rgb, photo.labels, label_set)] if photo.labels is not None else []
    weights: list[list[Image.Image]] = [[Image.fromarray(photo.rgb)] for photo in chosen]
    weight_heads = ["photo"]
    joints: list[list[Image.Image]] = [[] for _ in chosen]
    for name, task in zip(names, tasks, strict=True):
        parser = Parser(TorchEngine(task.network), label_set, task.preprocessing)
        for row, joint_row, photo in zip(rows, joints, chosen, strict=True):
            result = parser(photo.rgb)
            row.append(map_over(photo.rgb, result.labels, label_set))
            structures = [ParsingResult(photo.labels, label_set)] if photo.labels is not None else []
            joint_row.append(joints_over(photo.rgb, [*structures, result]))
        learned = _scale_weights(task, chosen)
        if learned:
            weight_heads += [f"{name}, {scale:g}" for scale in getattr(task.network, "scales", range(len(learned[0])))]
            for weight_row, maps, photo in zip(weights, learned, chosen, strict=True):
                weight_row += [heat(one, (photo.rgb.shape[1], photo.rgb.shape[0])) for one in maps]
    files = {"side_by_side.jpg": grid(rows, heads)}
    if len(weight_heads) > 1:
        files["scale_weights.jpg"] = grid(weights, weight_heads)
    if label_set.regions:
        files["joints.jpg"] = grid(joints, names)
    for file, figure in files.items():
        figure.save(output / file, quality=90)
    return [output / file for file in files]


def _scale_weights(task: ParsingTask, photos: Sequence[Photo]) -> list[NDArray[np.float32]]:
    """Weights (S, h, w) of every photo; none at all from a system that gives every pixel the same."""
    found = []
    for photo in photos:
        with torch.inference_mode():
            weights = task.network(torch.from_numpy(task.preprocessing(photo.rgb)).to(task.device)[None]).scale_weights
        if weights is not None:
            found.append(weights[0].float().cpu().numpy())
    return found if any(np.ptp(one, axis=(1, 2)).any() for one in found) else []


def _choose(photos: Path, count: int) -> list[Photo]:
    if not photos.is_dir():
        raise DatasetError(f"{photos}: no such folder; expected photos or a dataset")
    try:
        folder = open_split(photos, "val")
        every: list[int] = sorted({round(i) for i in np.linspace(0, len(folder) - 1, count)})
        samples = [folder[index] for index in every]
        return [Photo(sample.image, sample.labels) for sample in samples]
    except DatasetError:
        found = list(find_inputs([str(photos)], recursive=False))
    if not found:
        raise DatasetError(f"{photos}: neither photos nor a dataset with a val split")
    picked = sorted({round(i) for i in np.linspace(0, len(found) - 1, count)})
    return [Photo(read_rgb(found[index]), None) for index in picked]
