"""The paper's figures from your own runs: 3 (joints), 4 (systems side by side), 5 (scale weights)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.io.images import read_rgb
from ssnan.io.writing import appearing_together
from ssnan.parsing.inputs import find_inputs, is_video
from ssnan.parsing.parser import Parser
from ssnan.results.images import joints_over
from ssnan.results.render import grid, heatmap, map_over
from ssnan.results.result import ParsingResult


class Photo(NamedTuple):
    """A photo (H, W, 3) and its ground truth (H, W), or None."""

    rgb: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Shown:
    """A system in the figures.

    Attributes:
        name: heading of its column.
        parser: parser of the system.
        scales: the S scales with weights.
    """

    name: str
    parser: Parser
    scales: Sequence[float]


def draw(systems: Sequence[Shown], photos: Path, count: int, output: Path) -> list[Path]:
    """Write ``side_by_side.jpg``, ``scale_weights.jpg`` and ``joints.jpg`` to ``output``.

    Args:
        systems: the systems to show.
        photos: a folder of photos, or a dataset whose ``val`` photos are shown with their ground truth.
        count: number of photos, evenly spread.
        output: an existing folder.

    Returns:
        The written files. There are scale weights only if a system learns them, and joints only if the label set has
        them.

    Raises:
        DatasetError: there are no photos.
    """
    chosen = _choose(photos, count)
    label_set = systems[0].parser.label_set
    rows: list[list[Image.Image]] = [[Image.fromarray(photo.rgb)] for photo in chosen]
    heads = ["photo", *(system.name for system in systems)]
    if all(photo.labels is not None for photo in chosen):
        heads.insert(1, "ground truth")
        for row, photo in zip(rows, chosen, strict=True):
            row += [map_over(photo.rgb, photo.labels, label_set)] if photo.labels is not None else []
    weights: list[list[Image.Image]] = [[Image.fromarray(photo.rgb)] for photo in chosen]
    weight_heads = ["photo"]
    joints: list[list[Image.Image]] = [[] for _ in chosen]
    for system in systems:
        for row, joint_row, photo in zip(rows, joints, chosen, strict=True):
            result = system.parser(photo.rgb)
            row.append(map_over(photo.rgb, result.labels, label_set))
            structures = [ParsingResult(photo.labels, label_set)] if photo.labels is not None else []
            joint_row.append(joints_over(photo.rgb, [*structures, result]))
        learned = _scale_weights(system, chosen)
        if learned:
            weight_heads += [f"{system.name}, {scale:g}" for scale in system.scales]
            for weight_row, maps, photo in zip(weights, learned, chosen, strict=True):
                weight_row += [heatmap(map_, (photo.rgb.shape[1], photo.rgb.shape[0])) for map_ in maps]
    files = {"side_by_side.jpg": grid(rows, heads)}
    if len(weight_heads) > 1:
        files["scale_weights.jpg"] = grid(weights, weight_heads)
    if label_set.regions:
        files["joints.jpg"] = grid(joints, heads[-len(systems) :])
    with appearing_together() as written_at:
        for file, figure in files.items():
            figure.save(written_at(output / file), format="JPEG", quality=90)
    return [output / file for file in files]


def _scale_weights(system: Shown, photos: Sequence[Photo]) -> list[NDArray[np.float32]]:
    """Weights (S, h, w) of every photo; empty for a system with equal weights at every pixel."""
    found = [system.parser.scale_weights(system.parser.decode(photo.rgb)) for photo in photos]
    weights = [weights_of for weights_of in found if weights_of is not None]
    return weights if any(np.ptp(weights_of, axis=(1, 2)).any() for weights_of in weights) else []


def _choose(photos: Path, count: int) -> list[Photo]:
    if not photos.is_dir():
        raise DatasetError(f"{photos}: no such folder; expected photos or a dataset")
    try:
        folder = open_split(photos, "val")
        every: list[int] = sorted({round(i) for i in np.linspace(0, len(folder) - 1, count)})
        samples = [folder[index] for index in every]
        return [Photo(sample.image, sample.labels) for sample in samples]
    except DatasetError as error:
        found = [path for path in find_inputs([str(photos)], recursive=False) if not is_video(path)]
        if not found:
            raise DatasetError(f"{photos}: no photos, and not a dataset with a val split ({error})") from None
    picked = sorted({round(i) for i in np.linspace(0, len(found) - 1, count)})
    return [Photo(read_rgb(found[index]), None) for index in picked]
