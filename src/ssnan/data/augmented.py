"""Augmented samples, the same for any number of workers and after an interruption."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from ssnan.data.folder import DatasetError, ParsingFolder, Sample
from ssnan.data.instances import instances_of
from ssnan.data.keypoints import limb_map
from ssnan.data.pasting import PastedScenes
from ssnan.data.transforms import normalize
from ssnan.io.opening import ImageError
from ssnan.labels import UNKNOWN_PERSON, LabelSet
from ssnan.parsing.preprocessing import Preprocessing

log = logging.getLogger("ssnan")


class Augmented(Dataset[dict[str, Tensor]]):
    """Augmented samples in a random order. Each position has its own random numbers, so the samples do not depend on
    the number of workers or on interruptions."""

    def __init__(
        self,
        sources: Sequence[ParsingFolder | PastedScenes],
        order: list[tuple[int, int]],
        label_set: LabelSet,
        geometric: v2.Transform,
        photometric: v2.Transform,
        preprocessing: Preprocessing,
        seed: int,
        damaged: Literal["stop", "skip"] = "stop",
        instances: bool = False,
    ) -> None:
        self.sources = sources
        self.order = order
        self.relabels = [source.label_set.values_in(label_set) for source in sources]
        self.label_set = label_set
        self.with_limbs = any(isinstance(source, ParsingFolder) and source.keypoints for source in sources)
        self.geometric = geometric
        self.photometric = photometric
        self.preprocessing = preprocessing
        self.seed = seed
        self.damaged = damaged
        self.instances = instances

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        source, index = self.order[position]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, position)))
            sample = self._sample(self.sources[source], index)
            image = tv_tensors.Image(torch.from_numpy(sample.image.transpose(2, 0, 1).copy()))
            labels = self.relabels[source][sample.labels]
            maps = {"labels": labels}
            if self.with_limbs:
                maps["limbs"] = limb_map(sample.keypoints, labels, self.label_set)
            if self.instances:
                maps["instances"] = instances_of(sample, labels, self.label_set)
            image, *masks = self.geometric(
                image, *(tv_tensors.Mask(torch.from_numpy(values)) for values in maps.values())
            )
            image = self.photometric(image)
        pixels = normalize(image, self.preprocessing.mean, self.preprocessing.std)
        targets = {name: mask.as_subclass(Tensor).long() for name, mask in zip(maps, masks, strict=True)}
        if self.instances and (ignored := self.label_set.ignore_index) != UNKNOWN_PERSON:
            # Padding has the ignored value in every map, and must not become the person of that number.
            padding = (targets["labels"] == ignored) & (targets["instances"] == ignored)
            targets["instances"][padding] = UNKNOWN_PERSON
        return {"images": pixels.as_subclass(Tensor)} | targets

    def _sample(self, source: ParsingFolder | PastedScenes, index: int) -> Sample:
        for step in range(len(source)):
            try:
                return source[(index + step) % len(source)]
            except (ImageError, DatasetError) as error:
                if self.damaged == "stop":
                    raise
                log.warning("skipped: %s", error)
        raise DatasetError("no photo of a source can be read")
