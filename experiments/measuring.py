"""Measure many networks on the same photos: they are prepared once, and those of one size go through together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn.functional import interpolate

from ssnan.data.folder import Sample
from ssnan.evaluation import bootstrap
from ssnan.evaluation.bootstrap import Counts
from ssnan.evaluation.metrics import FREQUENT, class_counts, confusion_matrix, iou_of
from ssnan.evaluation.sides import count_sides
from ssnan.labels import LabelSet
from ssnan.models import ParsingNetwork
from ssnan.parsing.preprocessing import Preprocessing

BATCH = 16


class Measured(NamedTuple):
    """What a network counts on N photos.

    Attributes:
        pixels: :func:`ssnan.evaluation.metrics.class_counts` of each sample, (N, 3, C).
        sides: :class:`ssnan.evaluation.sides.SideCounts` of each sample, (N, 1, 4).
        photos: the photo of each sample, see :func:`photo_of`.
    """

    pixels: Counts
    sides: Counts
    photos: Sequence[str]

    def save(self, path: Path) -> None:
        """Write the counts; an interrupted write leaves no file with this name."""
        save(path, self._asdict())

    @classmethod
    def read(cls, path: Path) -> Measured:
        with np.load(path) as stored:
            return cls(stored["pixels"], stored["sides"], stored["photos"].tolist())


def photo_of(name: str) -> str:
    """The photo of a sample; crops of COCO's people are named PHOTO_PERSON. A bootstrap draws them together."""
    photo, _, person = name.partition("_")
    return photo if photo.isdigit() and person.isdigit() else name


def save(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write arrays to a .npz file; an interrupted write leaves no file with this name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    part.replace(path)


class Photos:
    """Photos ready to be measured.

    Args:
        samples: each photo, and the label set of its mask.
        preprocessing: of the networks that will be measured.
        device: where the photos and the networks are.
        scale: the network's input is this many times as large as usual; the result is compared at the photo's size.
    """

    def __init__(
        self,
        samples: Sequence[tuple[Sample, LabelSet]],
        preprocessing: Preprocessing,
        device: torch.device,
        scale: float = 1.0,
    ) -> None:
        self.samples = samples
        self.device = device
        by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, (sample, _) in enumerate(samples):
            by_size[preprocessing.size(*sample.labels.shape, scale)].append(index)
        self.batches = []
        for size in sorted(by_size):
            for first in range(0, len(by_size[size]), BATCH):
                chosen = by_size[size][first : first + BATCH]
                pixels = np.stack([preprocessing(samples[index][0].image, scale) for index in chosen])
                # 16 bits, as in the first convolution under autocast
                self.batches.append((chosen, torch.from_numpy(pixels).to(device, torch.bfloat16)))

    @torch.no_grad()
    def measured(self, network: ParsingNetwork) -> Measured:
        """Counts of each photo, at its own size and in the order of the samples."""
        network.eval()
        found: dict[int, tuple[Counts, NDArray[np.int64]]] = {}
        for chosen, pixels in self.batches:
            with torch.autocast(self.device.type, torch.bfloat16):
                images = pixels.float().contiguous(memory_format=torch.channels_last)
                scores = network(images).scores.float()
            for index, own in zip(chosen, scores, strict=True):
                sample, labels = self.samples[index]
                large = interpolate(own[None], size=sample.labels.shape, mode="bilinear", align_corners=True)
                decided = large[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
                pixels_of = class_counts(confusion_matrix(sample.labels, decided, labels), labels.sets)
                found[index] = pixels_of, np.array([count_sides(decided, sample.keypoints, labels)])
        ordered = [found[index] for index in range(len(self.samples))]
        photos = [photo_of(sample.id) for sample, _ in self.samples]
        return Measured(np.stack([pixels for pixels, _ in ordered]), np.stack([sides for _, sides in ordered]), photos)


def mean_iou_over(classes: Sequence[int] | slice) -> Callable[[Counts], NDArray[np.float64]]:
    """Mean IoU of some classes in percent, from summed pixels (…, 3, C); classes that no photo shows do not count."""
    return lambda counts: 100 * np.nanmean(iou_of(counts)[..., classes], axis=-1)


def frequent(pixels: Counts) -> list[int]:
    """Classes in enough photos, from the pixels of each, (N, 3, C)."""
    return np.flatnonzero((pixels[:, 1] > 0).sum(axis=0) >= FREQUENT).tolist()


def difference(
    base: Counts, own: Counts, measure: Callable[[Counts], NDArray[np.float64]], photos: Sequence[str]
) -> str:
    """How much more ``own`` has than ``base``, see :func:`with_intervals`.

    Args:
        base, own: counts (S, N, …) of the same N photos, for S paired runs.
        measure: from summed counts to percent.
        photos: the photo of each row of the counts.
    """
    gains = (measure(own.sum(axis=1)) - measure(base.sum(axis=1))).tolist()
    return with_intervals(gains, bootstrap.interval(base, own, measure, photos))


def with_intervals(gains: Sequence[float], over_photos: tuple[float, float]) -> str:
    """The mean of paired differences ± half its 95 % interval (Student's t), and the interval of a bootstrap; without ±
    for a single pair."""
    spread = f" ± {bootstrap.half_width(gains):.2f}" if len(gains) > 1 else ""
    low, high = over_photos
    return f"{mean(gains):+.2f}{spread} ({low:+.2f} … {high:+.2f})"


def right_sides(counts: Counts) -> NDArray[np.float64]:
    """Of the limb keypoints on a limb, those on their own side, in percent, from summed sides (…, 1, 4); 0 if none is
    on a limb."""
    *_, sided, right = np.moveaxis(counts[..., 0, :], -1, 0)
    return np.divide(100 * right, sided, out=np.zeros(sided.shape), where=sided > 0)
