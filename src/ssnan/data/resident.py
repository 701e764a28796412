"""Photos that stay in the GPU's memory and are augmented there.

They are decoded once, at the start. Then a batch costs the GPU a few milliseconds and the CPU nothing. Otherwise the
GPU would wait for the two to sixteen cores that decode and resize.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from ssnan.data.folder import ParsingFolder
from ssnan.data.transforms import MirrorWithSwap
from ssnan.labels import LabelSet
from ssnan.parsing.preprocessing import Preprocessing

AROUND = (-0.5, 0.5)
"""When shrinking, a pixel is the mean of 2 × 2 bilinear samples at this offset from its centre, in steps beyond the
first pixel. This avoids aliasing, and leaves photos that are not shrunk sharp."""


class View(NamedTuple):
    """The part of its photo that each crop shows: pixel (y, x) shows ``origin + (y, x) · step`` within the box (top,
    left, bottom, right), in pixels of the stored photo."""

    origin: Float[Tensor, "b 2"]
    step: Float[Tensor, "b 2"]
    box: Float[Tensor, "b 4"]


class ResidentPictures:
    """All training photos of ``folders`` in one tensor, with a longer side of ``side`` pixels.

    The random geometry is that of :func:`ssnan.data.transforms.geometric`: person crop, resize, mirror with swapped
    sides, crop. Padding has the mean colour and the ignored value.

    Args:
        folders: datasets to decode.
        label_set: label set of the stored labels, with the sets of every folder. Its flip pairs swap in a mirrored
            photo.
        preprocessing: normalisation, and the longest side for a random resize by 1.
        side: longer side of stored photos, in pixels; each takes 4 · side² bytes.
        device: device of the tensor.
        threads: number of threads that decode.

    Raises:
        ValueError: preprocessing has no longest side.
    """

    def __init__(
        self,
        folders: Sequence[ParsingFolder],
        label_set: LabelSet,
        preprocessing: Preprocessing,
        side: int,
        device: torch.device,
        threads: int = 8,
    ) -> None:
        if preprocessing.longest_side is None:
            raise ValueError(
                "data.resident_side: needs data.preprocessing.longest_side, the size after a random resize by 1"
            )
        self.longest_side = preprocessing.longest_side
        self.mean, self.std = (
            torch.tensor(three, device=device)[:, None, None] for three in (preprocessing.mean, preprocessing.std)
        )
        self.ignore_index = label_set.ignore_index
        self.relabel = MirrorWithSwap(label_set).relabel.to(device)
        self.starts = np.cumsum([0, *(len(folder) for folder in folders)])
        count = int(self.starts[-1])
        self.images = torch.zeros(count, 3, side, side, dtype=torch.uint8, device=device)
        self.labels = torch.full((count, side, side), label_set.ignore_index, dtype=torch.uint8, device=device)
        self.sizes = torch.empty(count, 2)
        self.people = torch.empty(count, 4)

        relabels = [folder.label_set.values_in(label_set) for folder in folders]

        def decode(index: int) -> None:
            folder = int(np.searchsorted(self.starts, index, side="right")) - 1
            sample = folders[folder][index - int(self.starts[folder])]
            rgb, mask = sample.image, relabels[folder][sample.labels]
            factor = side / max(mask.shape)
            height, width = (max(1, round(length * factor)) for length in mask.shape)
            rgb = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
            mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
            self.images[index, :, :height, :width] = torch.from_numpy(rgb.copy()).to(device).movedim(2, 0)
            self.labels[index, :height, :width] = torch.from_numpy(mask.copy()).to(device)
            self.sizes[index] = torch.tensor([height, width])
            rows, columns = np.nonzero(label_set.person[mask])
            whole = [0, 0, height, width]
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] if len(rows) else whole
            self.people[index] = torch.tensor([int(edge) for edge in box])

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(decode, range(count)))

    def index(self, folder: int, picture: int) -> int:
        """The index of photo ``picture`` of ``folders[folder]``."""
        return int(self.starts[folder]) + picture

    def draw(
        self,
        index: Int[Tensor, " b"],
        crop: tuple[int, int],
        scale: tuple[float, float],
        around_person: float,
        chances: Float[Tensor, "b 8"],
        margin: float = 0.15,
    ) -> View:
        """A random view of each photo, unmirrored; ``chances`` are random numbers in 0..1 on the CPU."""
        size, person = self.sizes[index], self.people[index]
        extent = (person[:, 2:] - person[:, :2]).amax(dim=1, keepdim=True)
        room = chances[:, :4] * margin * extent
        near = torch.cat(
            [(person[:, :2] - room[:, :2]).clamp_min(0), torch.minimum(person[:, 2:] + room[:, 2:], size)], 1
        )
        whole = torch.cat([torch.zeros_like(size), size], dim=1)
        box = torch.where(chances[:, 4:5] < around_person, near.round(), whole)
        shape = box[:, 2:] - box[:, :2]

        factor = scale[0] + (scale[1] - scale[0]) * chances[:, 5:6]
        resized = (shape * factor * self.longest_side / shape.amax(dim=1, keepdim=True)).round().clamp_min(1)
        free = resized - torch.tensor(crop)
        offset = free.clamp_max(0) + ((free.abs() + 1) * chances[:, 6:8]).floor()
        step = shape / resized
        # Pixel centres are at i + ½ in every photo; positions are those of grid_sample, 0 at the first centre.
        return View(box[:, :2] + (offset + 0.5) * step - 0.5, step, box)

    def crops(self, index: Int[Tensor, " b"], view: View, mirrored: Tensor, crop: tuple[int, int]) -> dict[str, Tensor]:
        """``{"images": (B, 3, *crop), "labels": (B, *crop)}`` of the photos ``index``: normalised float32 and int64."""
        device = self.images.device
        where = index.to(device)
        view = View(*(values.to(device) for values in view))
        fine = _positions(view, crop, AROUND)
        pixels = _sampled(self.images[where].float() / 255, fine, view.box, "bilinear")
        pixels = torch.where(_inside(fine, view.box).unsqueeze(1), (pixels - self.mean) / self.std, 0)
        images = avg_pool2d(pixels, len(AROUND))

        coarse = _positions(view, crop, (0.0,))
        values = _sampled(self.labels[where].unsqueeze(1).float(), coarse, view.box, "nearest")[:, 0].round()
        labels = torch.where(_inside(coarse, view.box), values, self.ignore_index).long()
        flip = mirrored.to(device)
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
        labels = torch.where(flip[:, None, None], self.relabel[labels.flip(2)].long(), labels)
        return {"images": images, "labels": labels}


def _positions(view: View, crop: tuple[int, int], around: Sequence[float]) -> Float[Tensor, "b h w 2"]:
    """(y, x) in the stored photo, for every pixel of the crop and every offset ``around`` its centre."""
    sides = []
    for axis in (0, 1):
        step = view.step[:, axis, None, None]
        centres = view.origin[:, axis, None, None] + torch.arange(crop[axis], device=step.device)[:, None] * step
        spread = torch.tensor(around, device=step.device) * (step - 1).clamp_min(0)
        sides.append((centres + spread).flatten(1))
    return torch.stack(torch.broadcast_tensors(sides[0][:, :, None], sides[1][:, None, :]), dim=3)


def _sampled(pictures: Float[Tensor, "b c s s"], positions: Float[Tensor, "b h w 2"], box: Tensor, mode: str) -> Tensor:
    """Values at ``positions``; positions outside the box get the values at its edge."""
    low, high = box[:, None, None, :2], box[:, None, None, 2:] - 1
    kept = positions.clamp(low, high)
    grid = (2 * kept + 1) / pictures.shape[-1] - 1
    return grid_sample(pictures, grid.flip(3), mode=mode, padding_mode="border", align_corners=False)


def _inside(positions: Float[Tensor, "b h w 2"], box: Float[Tensor, "b 4"]) -> Bool[Tensor, "b h w"]:
    """Whether each position is on a pixel of the box."""
    low, high = box[:, None, None, :2] - 0.5, box[:, None, None, 2:] - 0.5
    return ((positions >= low) & (positions < high)).all(dim=3)
