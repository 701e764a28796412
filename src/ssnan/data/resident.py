"""Photos that stay in the GPU's memory and are augmented there.

They are decoded once, at the start. Then a batch costs the GPU a few milliseconds and the CPU nothing. Otherwise the
GPU would wait for the two to sixteen cores that decode and augment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample
from torch.utils.data import DataLoader, Dataset

from ssnan.data.batch_photometric import PHOTOMETRIC_CHANCES, photometric_of_batch, sent
from ssnan.data.folder import ParsingFolder
from ssnan.data.keypoints import limb_map
from ssnan.data.pasting import PastedScenes
from ssnan.data.transforms import Bars, CropAroundPerson, MirrorWithSwap, Rotate
from ssnan.labels import LabelSet
from ssnan.parsing.preprocessing import Preprocessing

AROUND = (-0.5, 0.5)
"""When shrinking, a pixel is the mean of 2 × 2 bilinear samples at this offset from its centre, in steps beyond the
first pixel. This avoids aliasing, and leaves photos that are not shrunk sharp."""

COMPOSITIONS = 4
"""How many photos are composed for each scene of ``data.pasting``."""

VIEW_CHANCES = 18
CHANCES = VIEW_CHANCES + PHOTOMETRIC_CHANCES
"""The number of random numbers for one crop: first those of its view, then those of its colours."""

BLURRED = -1.0
"""Stands for blurred bars, where other bars have a grey value in 0..1."""


class Augmentation(NamedTuple):
    """Options of :class:`ssnan.data.datamodule.ParsingData` with the same names."""

    crop: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    crop_around_person: float = 0.0
    rotation: float = 0.0
    bars: float = 0.0
    photometric: float = 0.0


class View(NamedTuple):
    """The part of its photo that each crop shows.

    A photo is cropped to its box, rotated, and gets bars; the result is the canvas. Pixel (y, x) of the crop shows
    ``origin + (y, x) · step`` of the canvas. All lengths are in pixels of the stored photo.

    Attributes:
        box: top, left, bottom, right.
        angle: counter-clockwise rotation, radians.
        bars: height of the bars above and below, and width of those left and right.
        fill: grey value of the bars, 0..1, or :data:`BLURRED`.
        origin, step: see above.
        mirrored: whether the crop is mirrored at the end.
    """

    box: Float[Tensor, "b 4"]
    angle: Float[Tensor, " b"]
    bars: Float[Tensor, "b 2"]
    fill: Float[Tensor, " b"]
    origin: Float[Tensor, "b 2"]
    step: Float[Tensor, "b 2"]
    mirrored: Bool[Tensor, " b"]


class Stored(NamedTuple):
    """A photo as it is stored.

    Attributes:
        image: pixels, uint8; beyond the photo those of its edge, which blurred bars mix in.
        maps: labels and, if a folder has keypoints, limbs, uint8; beyond the photo the ignored value.
        size: height and width.
        person: top, left, bottom, right of all parts; the whole photo if there are none.
    """

    image: UInt8[Tensor, "3 s s"]
    maps: UInt8[Tensor, "c s s"]
    size: Float[Tensor, " 2"]
    person: Float[Tensor, " 4"]


class ResidentPhotos:
    """All training photos of ``folders`` in one tensor, with a longer side of ``side`` pixels.

    The augmentation is that of :mod:`ssnan.data.transforms`: person crop, rotation, bars, resize, crop, mirror with
    swapped sides, and changes of colour. Padding has the mean colour and the ignored value.

    Args:
        folders: datasets to decode; each scene of pasted scenes is composed :data:`COMPOSITIONS` times.
        label_set: label set of the stored labels, with the sets of every folder. Its flip pairs swap in a mirrored
            photo.
        preprocessing: normalisation, and the longest side for a random resize by 1.
        side: longer side of stored photos, in pixels; each takes 4 · side² bytes, 5 · side² with limbs.
        device: device of the tensor.
        num_workers: number of processes that decode.
        seed: seed of the composed photos.

    Raises:
        ValueError: preprocessing has no longest side.
    """

    def __init__(
        self,
        folders: Sequence[ParsingFolder | PastedScenes],
        label_set: LabelSet,
        preprocessing: Preprocessing,
        side: int,
        device: torch.device,
        num_workers: int = 0,
        seed: int = 0,
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
        decoded = _Decoded(folders, label_set, side, seed)
        self.starts, count = decoded.starts, len(decoded)
        self.images = torch.zeros(count, 3, side, side, dtype=torch.uint8, device=device)
        self.maps = torch.full(
            (count, 2 if decoded.with_limbs else 1, side, side), self.ignore_index, dtype=torch.uint8, device=device
        )
        self.sizes = torch.empty(count, 2)
        self.people = torch.empty(count, 4)
        # Workers hand over several photos at once, because each transfer costs time.
        loader = DataLoader(decoded, batch_size=16, num_workers=num_workers)
        for first, photos in zip(range(0, count, 16), loader, strict=True):
            rows = slice(first, first + 16)
            self.images[rows], self.maps[rows], self.sizes[rows], self.people[rows] = photos

    def count(self, folder: int) -> int:
        """The number of stored photos of ``folders[folder]``."""
        return int(self.starts[folder + 1] - self.starts[folder])

    def index(self, folder: int, photo: int) -> int:
        """The index of photo ``photo`` of ``folders[folder]``."""
        return int(self.starts[folder]) + photo

    def batch(self, index: Int[Tensor, " b"], wanted: Augmentation, chances: Float[Tensor, "b n"]) -> dict[str, Tensor]:
        """Augmented crops of the photos ``index``: ``{"images": (B, 3, *crop), "labels": (B, *crop)}``, normalised
        float32 and int64, and ``"limbs"`` like labels if a folder has keypoints.

        Args:
            chances: :data:`CHANCES` random numbers in 0..1 for each photo, on the CPU.
        """
        view = self.draw(index, wanted, chances[:, :VIEW_CHANCES])
        pixels, maps = self.crops(index, view, wanted.crop)
        if wanted.photometric:
            pixels = photometric_of_batch(pixels, wanted.photometric, chances[:, VIEW_CHANCES:])
        names = ("labels", "limbs")[: maps.shape[1]]
        return {"images": (pixels - self.mean) / self.std} | dict(zip(names, maps.unbind(dim=1), strict=True))

    def draw(self, index: Int[Tensor, " b"], wanted: Augmentation, chances: Float[Tensor, "b n"]) -> View:
        """A random view of each photo; the transforms with the same names say what is drawn."""
        margins, chances = chances[:, :4], chances[:, 4:]
        (near, turned, quarter, side, share, barred, beside, ratio, kind, grey, size, mirror) = chances[:, :12].T
        box = self._boxes(index, margins, near < wanted.crop_around_person)
        shape = box[:, 2:] - box[:, :2]

        angle = torch.deg2rad(Rotate.DEGREES * (2 * share - 1))
        angle = torch.where(quarter < Rotate.QUARTER, torch.pi / 2 * torch.where(side < 0.5, 1.0, -1.0), angle)
        angle = torch.where(turned < wanted.rotation, angle, 0.0)
        canvas = _rotated(shape, angle)

        aspect = Bars.NARROWEST + (Bars.WIDEST - Bars.NARROWEST) * ratio
        upright = (beside < Bars.BESIDE)[:, None]
        along, across = torch.where(upright, canvas, canvas.flip(1)).T
        each = ((along * aspect - across) / 2).round().clamp_min(0) * (barred < wanted.bars)
        bars = torch.where(upright, torch.stack([each * 0, each], 1), torch.stack([each, each * 0], 1))
        fill = torch.where(kind < 0.25, 0.0, torch.where(kind < 0.5, 1.0, torch.where(kind < 0.75, grey, BLURRED)))
        canvas = canvas + 2 * bars

        factor = (wanted.scale[0] + (wanted.scale[1] - wanted.scale[0]) * size)[:, None]
        resized = (canvas * factor * self.longest_side / canvas.amax(dim=1, keepdim=True)).round().clamp_min(1)
        free = resized - torch.tensor(wanted.crop)
        offset = free.clamp_max(0) + ((free.abs() + 1) * chances[:, 12:14]).floor()
        step = canvas / resized
        # Pixel centres are at i + ½ in every photo; positions are 0 at the first centre.
        return View(box, angle, bars, fill, (offset + 0.5) * step - 0.5, step, mirror < 0.5)

    def _boxes(self, index: Tensor, margins: Tensor, near: Tensor) -> Float[Tensor, "b 4"]:
        """The box around the person with random margins where ``near``, elsewhere the whole photo."""
        size, person = self.sizes[index], self.people[index]
        extent = (person[:, 2:] - person[:, :2]).amax(dim=1, keepdim=True)
        room = margins * CropAroundPerson.MARGIN * extent
        around = [(person[:, :2] - room[:, :2]).clamp_min(0), torch.minimum(person[:, 2:] + room[:, 2:], size)]
        whole = torch.cat([torch.zeros_like(size), size], dim=1)
        return torch.where(near[:, None], torch.cat(around, dim=1).round(), whole)

    def crops(
        self, index: Int[Tensor, " b"], view: View, crop: tuple[int, int]
    ) -> tuple[Float[Tensor, "b 3 h w"], Int[Tensor, "b c h w"]]:
        """Pixels in 0..1 and maps of the photos ``index``."""
        device = self.images.device
        where = sent(index, device)
        blurred = bool(((view.fill == BLURRED) & view.bars.any(dim=1)).any())
        view = View(*(sent(values, device) for values in view))
        stored = self.images[where].float() / 255

        canvas = _positions(view, crop, AROUND)
        at = _in_box(view, canvas)
        fill = view.fill[:, None, None, None].expand(-1, 3, *canvas.shape[1:3])
        if blurred:
            small = avg_pool2d(stored, 16, ceil_mode=True)
            stretched = _sampled(small, _stretched(view, canvas) / 16 - 0.5 + 0.5 / 16, "bilinear")
            fill = torch.where(fill == BLURRED, stretched, fill)
        pixels = _sampled(stored, _clamped(view, at), "bilinear")
        pixels = torch.where(_inside_box(view, at).unsqueeze(1), pixels, self.mean)
        pixels = torch.where(_in_bars(view, canvas).unsqueeze(1), fill, pixels)
        images = avg_pool2d(pixels, len(AROUND))

        canvas = _positions(view, crop, (0.0,))
        at = _in_box(view, canvas)
        maps = _sampled(self.maps[where].float(), _clamped(view, at), "nearest").round()
        maps = torch.where(_inside_box(view, at).unsqueeze(1), maps, self.ignore_index)
        maps = torch.where(_in_bars(view, canvas).unsqueeze(1), 0, maps).long()
        flip = view.mirrored[:, None, None, None]
        return torch.where(flip, images.flip(3), images), torch.where(flip, self.relabel[maps.flip(3)].long(), maps)


class _Decoded(Dataset[Stored]):
    """All photos of the folders, one after another, at the stored size."""

    def __init__(
        self, folders: Sequence[ParsingFolder | PastedScenes], label_set: LabelSet, side: int, seed: int
    ) -> None:
        self.folders, self.label_set, self.side, self.seed = folders, label_set, side, seed
        times = [COMPOSITIONS if isinstance(folder, PastedScenes) else 1 for folder in folders]
        self.starts = np.cumsum([0, *(count * len(folder) for count, folder in zip(times, folders, strict=True))])
        self.relabels = [folder.label_set.values_in(label_set) for folder in folders]
        self.with_limbs = any(isinstance(folder, ParsingFolder) and folder.keypoints for folder in folders)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> Stored:
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        folder = self.folders[number]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, index)))  # of composed photos
            sample = folder[(index - int(self.starts[number])) % len(folder)]
        labels = self.relabels[number][sample.labels]
        factor = self.side / max(labels.shape)
        height, width = (max(1, round(length * factor)) for length in labels.shape)
        photo = np.array(Image.fromarray(sample.image).resize((width, height), Image.Resampling.BILINEAR))
        labels = np.array(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
        maps = [labels, limb_map(sample.keypoints, labels, self.label_set)] if self.with_limbs else [labels]
        rows, columns = np.nonzero(self.label_set.person[labels])
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) if len(rows) else (0, 0, height, width)
        beyond = ((0, 0), (0, self.side - height), (0, self.side - width))
        return Stored(
            torch.from_numpy(np.pad(photo.transpose(2, 0, 1), beyond, mode="edge")),
            torch.from_numpy(np.pad(np.stack(maps), beyond, constant_values=self.label_set.ignore_index)),
            torch.tensor([height, width], dtype=torch.float32),
            torch.tensor(np.array(box), dtype=torch.float32),
        )


def _rotated(shape: Float[Tensor, "b 2"], angle: Float[Tensor, " b"]) -> Float[Tensor, "b 2"]:
    """Height and width of the rotated box."""
    cosine, sine = angle.cos().abs()[:, None], angle.sin().abs()[:, None]
    return cosine * shape + sine * shape.flip(1)


def _positions(view: View, crop: tuple[int, int], around: Sequence[float]) -> Float[Tensor, "b h w 2"]:
    """(y, x) in the canvas, for every pixel of the crop and every offset ``around`` its centre."""
    sides = []
    for axis in (0, 1):
        step = view.step[:, axis, None, None]
        centres = view.origin[:, axis, None, None] + torch.arange(crop[axis], device=step.device)[:, None] * step
        spread = torch.tensor(around, device=step.device) * (step - 1).clamp_min(0)
        sides.append((centres + spread).flatten(1))
    return torch.stack(torch.broadcast_tensors(sides[0][:, :, None], sides[1][:, None, :]), dim=3)


def _in_box(view: View, canvas: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w 2"]:
    """The positions in the stored photo that ``canvas`` shows."""
    shape = view.box[:, 2:] - view.box[:, :2]
    middle = (_rotated(shape, view.angle) + 2 * view.bars - 1) / 2
    y, x = (canvas - middle[:, None, None]).unbind(dim=3)
    cosine, sine = view.angle.cos()[:, None, None], view.angle.sin()[:, None, None]
    centre = (view.box[:, :2] + (shape - 1) / 2)[:, None, None]
    return torch.stack([cosine * y + sine * x, cosine * x - sine * y], dim=3) + centre


def _stretched(view: View, canvas: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w 2"]:
    """The positions in the stored photo if its box fills the whole canvas."""
    shape = view.box[:, 2:] - view.box[:, :2]
    whole = _rotated(shape, view.angle) + 2 * view.bars
    return view.box[:, None, None, :2] + (canvas + 0.5) * (shape / whole)[:, None, None] - 0.5


def _inside_box(view: View, positions: Float[Tensor, "b h w 2"]) -> Bool[Tensor, "b h w"]:
    """Whether each position of a stored photo is on a pixel of the box."""
    low, high = view.box[:, None, None, :2] - 0.5, view.box[:, None, None, 2:] - 0.5
    return ((positions >= low) & (positions < high)).all(dim=3)


def _in_bars(view: View, canvas: Float[Tensor, "b h w 2"]) -> Bool[Tensor, "b h w"]:
    """Whether each position of the canvas is on a bar."""
    inner = _rotated(view.box[:, 2:] - view.box[:, :2], view.angle)[:, None, None]
    bars = view.bars[:, None, None]
    on_canvas = ((canvas >= -0.5) & (canvas < inner + 2 * bars - 0.5)).all(dim=3)
    between = ((canvas >= bars - 0.5) & (canvas < inner + bars - 0.5)).all(dim=3)
    return on_canvas & ~between & view.bars.any(dim=1)[:, None, None]


def _clamped(view: View, positions: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w 2"]:
    """Positions in the box; those outside move to its edge."""
    return positions.clamp(view.box[:, None, None, :2], view.box[:, None, None, 2:] - 1)


def _sampled(maps: Float[Tensor, "b c s s"], positions: Float[Tensor, "b h w 2"], mode: str) -> Tensor:
    """Values of ``maps`` at ``positions``."""
    grid = (2 * positions + 1) / maps.shape[-1] - 1
    return grid_sample(maps, grid.flip(3), mode=mode, padding_mode="border", align_corners=False)
