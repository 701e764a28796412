"""From datasets to batches: mixtures of datasets, and augmentation that a resumed run repeats."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset, TensorDataset
from torchvision.transforms import v2

from ssnan.data.augmented import Augmented
from ssnan.data.folder import DatasetError, ParsingFolder, Sample
from ssnan.data.layouts import label_set_of, open_split
from ssnan.data.pasting import PastedScenes, Pasting
from ssnan.data.resident import CHANCES, Augmentation, ResidentPhotos
from ssnan.data.sampling import classes_held, pixels_held, repeat_factors
from ssnan.data.transforms import geometric, photometric
from ssnan.parsing.preprocessing import Preprocessing

log = logging.getLogger("ssnan")


@dataclass
class Source:
    """One dataset of a mixture.

    Attributes:
        root: folder of the dataset, in any layout of :mod:`ssnan.data.layouts`.
        share: how often its photos are drawn, relative to the other sources. If None for all sources, every photo is
            seen once per epoch, except for a random rest that fills no step.
        rare: a class in a smaller share of the source's photos is rare, and photos with it are drawn more often, see
            :func:`ssnan.data.sampling.repeat_factors`. 0 draws all photos equally often.
    """

    root: Path
    share: float | None = None
    rare: float = 0.0


class ParsingData(LightningDataModule):
    """Training batches and validation photos, from one or several datasets.

    A batch is ``{"images": (B, 3, H, W), "labels": (B, H, W)}``, normalised float32 and int64. If a source has
    keypoints, it also has ``"limbs": (B, H, W)``, see :func:`ssnan.data.keypoints.limb_map`; with ``instances``, also
    ``"instances": (B, H, W)``, see :mod:`ssnan.data.instances`.

    Args:
        sources: training datasets.
        validation: dataset whose ``val`` split selects the best checkpoint.
        label_set: name of a label set, or the ``dataset.yaml`` of your own data. All datasets must have this label set,
            but each may have its own sets of classes.
        preprocessing: size and normalisation of the network's input, before the random resize.
        crop: height and width of a training crop; multiples of ``preprocessing.multiple`` plus 1, or the labels do not
            lie on the features.
        scale: range of factors of the random resize.
        crop_around_person: share of the training photos that are first cropped to the person.
        rotation: share of the training photos that are rotated, by up to 30° or by a quarter turn.
        bars: share of the training photos with black, white or blurred bars on two sides, labelled background.
        photometric: share of the training photos with changed colours, blur or noise.
        pasting: a further source, which pastes people of some datasets onto scenes without people.
        batch_size: photos per batch, for all processes together.
        samples_per_epoch: photos drawn per epoch, with replacement, if sources have shares.
        validation_limit: the most validation photos; all if None.
        num_workers: number of processes that read and augment.
        instances: whether batches tell people apart: in pasted scenes, in datasets with masks of people, and where
            there are keypoints. Elsewhere, only the background is known.
        damaged: what to do if a training photo or its mask cannot be read: ``stop``, or ``skip`` it with a warning and
            take the next one of its source.
        resident_side: if given, photos are decoded once, at this longer side, and are stored and augmented in the
            GPU's memory, see :mod:`ssnan.data.resident`. Four photos are composed for each scene of ``pasting``.
        seed: seed of sampling and augmentation; if None, ``seed_everything`` in ``ssnan train``, and 0 elsewhere.

    Raises:
        ValueError: there is no such label set, a value is out of range, or two options do not go together.
    """

    def __init__(
        self,
        sources: list[Source],
        validation: Path,
        label_set: str = "lip",
        preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 - frozen
        crop: tuple[int, int] = (321, 321),
        scale: tuple[float, float] = (0.6, 1.4),
        crop_around_person: float = 0.0,
        rotation: float = 0.0,
        bars: float = 0.0,
        photometric: float = 0.0,
        pasting: Pasting | None = None,
        batch_size: int = 30,
        samples_per_epoch: int | None = None,
        validation_limit: int | None = None,
        num_workers: int = 2,
        instances: bool = False,
        damaged: Literal["stop", "skip"] = "stop",
        resident_side: int | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.sources = sources
        self.validation = validation
        self.label_set = label_set_of(label_set)
        self.crop = crop
        self.scale = scale
        self.crop_around_person = crop_around_person
        self.rotation = rotation
        self.bars = bars
        self.photometric = photometric
        self.pasting = pasting
        self.batch_size = batch_size
        self.samples_per_epoch = samples_per_epoch
        self.validation_limit = validation_limit
        self.num_workers = num_workers
        self.instances = instances
        self.damaged: Literal["stop", "skip"] = damaged
        self.resident_side = resident_side
        self.resident: ResidentPhotos | None = None
        self.seed = 0 if seed is None else seed
        self.preprocessing = preprocessing
        for name in ("batch_size", "samples_per_epoch", "validation_limit", "resident_side"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"data.{name}: expected 1 or more, got {value}")
        for name in ("crop_around_person", "rotation", "bars", "photometric"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"data.{name}: expected a share from 0 to 1, got {value}")
        if min(crop) < 1:
            raise ValueError(f"data.crop: expected a height and a width of 1 or more, got {list(crop)}")
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"data.scale: expected two factors above 0, the smaller first, got {list(scale)}")
        if not sources:
            raise ValueError("data.sources: expected at least one dataset, got none")
        shares = [source.share for source in sources]
        if (given := [share for share in shares if share is not None]) and (min(given) < 0 or not sum(given)):
            raise ValueError(f"data.sources: expected shares of 0 or more, not all 0, got {given}")
        if None in shares and any(share is not None for share in shares):
            raise ValueError("data.sources: give every source a share, or none")
        if pasting is not None and None in shares:
            raise ValueError("data.pasting: give the sources shares, because its share is relative to them")
        if None in shares and samples_per_epoch is not None:
            raise ValueError("data.samples_per_epoch: needs shares; without them, every photo is seen once per epoch")
        if None in shares and any(source.rare for source in sources):
            raise ValueError("data.sources: rare: needs shares; without them, every photo is seen once per epoch")
        if resident_side is not None and instances:
            raise ValueError("data.instances: not supported with data.resident_side; leave it out")
        if resident_side is not None and damaged == "skip":
            raise ValueError("data.damaged: skip is not supported with data.resident_side; leave one of them out")

    def setup(self, stage: str) -> None:
        self.val_folder = self._open(self.validation, "val")
        processes, _ = self._processes
        if self._validated < processes:
            raise DatasetError(
                f"data.validation: {self._validated} photos are too few for {processes} processes; expected at least "
                "one for each; train with fewer processes"
            )
        if stage == "fit":
            self._warn_of_crop()
            self.train_folders = [self._open(source.root, "train") for source in self.sources]
            self.chances = [
                repeat_factors(classes_held(folder, self.damaged), source.rare) if source.rare else None
                for source, folder in zip(self.sources, self.train_folders, strict=True)
            ]
            self.pasted = self._pasted()
            label_sets = (source.label_set for source in self._drawn_from())
            self.label_set = self.label_set.united(label_sets)

    def _warn_of_crop(self) -> None:
        """Features lie on every ``multiple``-th pixel or more densely, from the first to the last of a crop."""
        multiple = self.preprocessing.multiple
        fitting = [max(1, round((side - 1) / multiple)) * multiple + 1 for side in self.crop]
        if list(self.crop) != fitting:
            log.warning(
                "data.crop: %d × %d are not multiples of %d plus 1, so labels lie beside their features; expected, for "
                "example, %d × %d",
                *self.crop,
                multiple,
                *fitting,
            )

    def class_pixels(self, limit: int = 1000) -> NDArray[np.int64]:
        """The number of pixels of every class in each training mask, (n, C), for at most ``limit`` masks of a source,
        evenly spread over its list."""
        counts = []
        for folder in self.train_folders:
            chosen = np.unique(np.linspace(0, len(folder) - 1, min(limit, len(folder))).round().astype(int))
            counts.append(pixels_held(folder, [folder.pairs[index] for index in chosen], self.damaged))
        return np.concatenate(counts)

    def _open(self, root: Path, split: str) -> ParsingFolder:
        folder = open_split(root, split)
        if not folder.label_set.agrees_with(self.label_set):
            raise DatasetError(
                f"{root}: its labels are not those of the run ({folder.label_set.difference(self.label_set)}); set "
                "data.label_set to that of the dataset"
            )
        return folder

    def _pasted(self) -> PastedScenes | None:
        if self.pasting is None:
            return None
        folders = [self._open(root, "train") for root in self.pasting.people]
        return PastedScenes(self.pasting.scenes, folders, self.label_set, self.pasting.most, self.pasting.groups)

    def _drawn_from(self) -> list[ParsingFolder | PastedScenes]:
        return [*self.train_folders, *([self.pasted] if self.pasted else [])]

    def train_dataloader(self, device: torch.device | None = None) -> DataLoader[Any]:
        """Batches of an epoch. With resident photos, on ``device`` or that of the trainer, batches of their indices."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        if self.resident_side is not None:
            home = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
            return self._numbers(epoch, self.resident_side, device or home)
        pre = self.preprocessing
        dataset = Augmented(
            self._drawn_from(),
            self._whole_steps(self._draw(epoch)),
            self.label_set,
            geometric(
                self.label_set,
                self.crop,
                self.scale,
                pre.longest_side,
                self.crop_around_person,
                pre.mean,
                self.rotation,
                self.bars,
            ),
            v2.RandomApply([photometric()], p=self.photometric),
            pre,
            hash((self.seed, epoch)),
            self.damaged,
            self.instances,
        )
        return self._shared(dataset, self.num_workers)

    def _numbers(self, epoch: int, side: int, device: torch.device) -> DataLoader[Any]:
        """Batches of positions and photo indices, which are all that goes to the GPU."""
        if self.resident is None:
            self.resident = ResidentPhotos(
                self._drawn_from(), self.label_set, self.preprocessing, side, device, self.num_workers, self.seed
            )
        order = self._whole_steps(self._draw(epoch))
        index = torch.tensor([self.resident.index(source, photo) for source, photo in order])
        return self._shared(TensorDataset(torch.arange(len(order)), index))

    @property
    def _processes(self) -> tuple[int, int]:
        """The number of processes, and the rank of this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    @property
    def _validated(self) -> int:
        """The number of validation photos."""
        return min(len(self.val_folder), self.validation_limit or len(self.val_folder))

    def _whole_steps(self, order: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Truncate the order of an epoch to whole steps of the optimizer, or to whole batches if it is shorter than a
        step; an epoch shorter than a batch stays whole."""
        processes, _ = self._processes
        if self.batch_size % processes:
            raise DatasetError(
                f"data.batch_size: {self.batch_size} photos cannot be divided evenly by {processes} processes; it is "
                f"the batch size of all together; expected a multiple of {processes}"
            )
        accumulated = self.trainer.accumulate_grad_batches if self.trainer else 1
        step = next((size for size in (self.batch_size * accumulated, self.batch_size) if len(order) > size), processes)
        if len(order) < step:
            raise DatasetError(f"data: {len(order)} photos per epoch are too few for {processes} processes")
        return order[: len(order) // step * step]

    def _shared(self, dataset: Dataset[Any], num_workers: int = 0) -> DataLoader[Any]:
        """Batches of a dataset in order, divided equally among the processes, so that all together see in each step
        what one process would."""
        processes, own = self._processes
        sampler: DistributedSampler[Any] = DistributedSampler(dataset, processes, own, shuffle=False)
        return DataLoader(dataset, self.batch_size // processes, sampler=sampler, num_workers=num_workers)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave indices of resident photos where they are; reading them back would wait for the GPU."""
        if self.resident is not None and isinstance(batch, list):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Convert a batch of indices to crops; any other batch is unchanged."""
        if self.resident is None or not isinstance(batch, list):
            return batch
        position, index = batch
        epoch = self.trainer.current_epoch if self.trainer else 0
        random = torch.Generator().manual_seed(hash((self.seed, epoch, int(position[0]) // self.batch_size)))
        # Random numbers for the photos of all processes in this step; this process takes its share.
        chances = torch.rand(self.batch_size, CHANCES, generator=random)[position % self.batch_size]
        wanted = Augmentation(
            self.crop, self.scale, self.crop_around_person, self.rotation, self.bars, self.photometric
        )
        return self.resident.batch(index, wanted, chances)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Photos at their own size, one at a time; the task resizes them and measures at their size."""
        subset: Subset[Sample] = Subset(self.val_folder, range(self._validated))  # type: ignore[arg-type]
        processes, own = self._processes
        return DataLoader(
            subset,
            batch_size=None,
            sampler=UnrepeatedDistributedSampler(subset, num_replicas=processes, rank=own, shuffle=False),
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # a single sample without batch_size
        )

    def _draw(self, epoch: int) -> list[tuple[int, int]]:
        """(source, photo) of an epoch in order; determined by seed and epoch."""
        random = np.random.default_rng((self.seed, epoch))
        sources = self._drawn_from()
        sizes = [
            self.resident.count(source) if self.resident else len(sources[source]) for source in range(len(sources))
        ]
        if self.sources[0].share is None:
            pool = [(source, photo) for source, size in enumerate(sizes) for photo in range(size)]
            return [pool[i] for i in random.permutation(len(pool))]
        pasted = [self.pasting.share] if self.pasting else []
        shares = np.array([*(source.share for source in self.sources), *pasted], dtype=float)
        count = self.samples_per_epoch or sum(len(folder) for folder in self.train_folders)
        chances = [
            None if chance is None else chance / chance.sum() for chance in [*self.chances, *([None] if pasted else [])]
        ]
        drawn = random.choice(len(shares), size=count, p=shares / shares.sum())
        return [(int(source), int(random.choice(sizes[source], p=chances[source]))) for source in drawn]


def _as_it_is(sample: Sample) -> Sample:
    return sample
