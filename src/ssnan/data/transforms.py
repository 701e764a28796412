"""Augmentation of a photo with its labels (Section 4.1, Training), as torchvision v2 transforms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from ssnan.labels import LabelSet


class MirrorWithSwap(v2.Transform):
    """Mirror with probability ``probability``, and swap left and right labels."""

    def __init__(self, label_set: LabelSet, probability: float = 0.5) -> None:
        super().__init__()
        self.probability = probability
        self.relabel = torch.from_numpy(label_set.flip_table)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"mirror": bool(torch.rand(()) < self.probability)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params["mirror"]:
            return inpt
        mirrored = F.horizontal_flip(inpt)
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(self.relabel[mirrored.long()])
        return mirrored


class CropAroundPerson(v2.Transform):
    """Crop to the box of all parts plus a margin, with probability ``probability``.

    LIP's photos are such crops, and this makes other photos similar. The margin on each side is uniform in
    0 .. ``margin`` times the longer side of the box.
    """

    MARGIN = 0.15

    def __init__(self, label_set: LabelSet, probability: float, margin: float = MARGIN) -> None:
        super().__init__()
        self.person = torch.from_numpy(label_set.person)
        self.probability = probability
        self.margin = margin

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        mask = next(value for value in flat_inputs if isinstance(value, tv_tensors.Mask))
        parts = self.person[mask.long()]
        if not bool(torch.rand(()) < self.probability) or not parts.any():
            return {"box": None}
        rows, columns = parts.any(dim=-1).nonzero(), parts.any(dim=-2).nonzero()
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        margins = torch.rand(4) * self.margin * max(bottom - top, right - left)
        up, down, before, after = (int(value) for value in margins)
        height, width = mask.shape[-2:]
        top, left = max(0, top - up), max(0, left - before)
        return {"box": (top, left, min(height, bottom + down) - top, min(width, right + after) - left)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt if params["box"] is None else F.crop(inpt, *params["box"])


class Rotate(v2.Transform):
    """Rotate with probability ``probability``: by an angle uniform in ±30°, or, one time in six, by a quarter
    turn to either side, like a photo without its orientation. The canvas grows to fit; corners are ``fill`` and
    ignored. Left and right stay the same, because they are the person's own."""

    DEGREES = 30.0
    QUARTER = 1 / 6

    def __init__(self, probability: float, fill: dict[Any, Any]) -> None:
        super().__init__()
        self.probability = probability
        self.fill = fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        turned, quarter, side, share = torch.rand(4).tolist()
        if turned >= self.probability:
            return {"angle": 0.0}
        if quarter < self.QUARTER:
            return {"angle": 90.0 if side < 0.5 else -90.0}
        return {"angle": self.DEGREES * (2 * share - 1)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["angle"] == 0:
            return inpt
        nearest = isinstance(inpt, tv_tensors.Mask)
        mode = InterpolationMode.NEAREST if nearest else InterpolationMode.BILINEAR
        return F.rotate(inpt, params["angle"], mode, expand=True, fill=self.fill[type(inpt)])


class Bars(v2.Transform):
    """Add two bars with probability ``probability``: left and right or above and below, as in videos and shops. The
    aspect ratio becomes 4:3 to 3:1. Bars are black, white, grey or the blurred photo, and are background."""

    NARROWEST, WIDEST = 4 / 3, 3.0
    BESIDE = 0.7
    """Share of the bars that are left and right."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = flat_inputs[0].shape[-2:]
        chance, beside, ratio, kind, grey = torch.rand(5).tolist()
        if chance >= self.probability:
            return {"pad": None}
        wanted = self.NARROWEST + (self.WIDEST - self.NARROWEST) * ratio
        along, across = (height, width) if beside < self.BESIDE else (width, height)
        each = max(0, round((along * wanted - across) / 2))
        pad = [each, 0, each, 0] if beside < self.BESIDE else [0, each, 0, each]
        fill = {0: 0, 1: 255, 2: round(255 * grey)}.get(int(4 * kind))
        return {"pad": pad, "fill": fill}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["pad"] is None:
            return inpt
        if isinstance(inpt, tv_tensors.Mask):
            return F.pad(inpt, params["pad"], fill=0)
        padded = F.pad(inpt, params["pad"], fill=params["fill"] or 0)
        if params["fill"] is None:
            left, top, _, _ = params["pad"]
            height, width = inpt.shape[-2:]
            small = F.resize(inpt, [max(1, height // 16), max(1, width // 16)], antialias=True)
            around = F.resize(small, list(padded.shape[-2:]))
            around[..., top : top + height, left : left + width] = inpt
            return tv_tensors.Image(around)
        return padded


class RandomScale(v2.Transform):
    """Resize the longer side to ``longest_side`` times a factor uniform in ``factors``; labels use nearest neighbour.
    If ``longest_side`` is None, the factor applies to the photo's size."""

    def __init__(self, longest_side: int | None, factors: tuple[float, float]) -> None:
        super().__init__()
        self.longest_side = longest_side
        self.factors = factors

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = flat_inputs[0].shape[-2:]
        low, high = self.factors
        factor = low + (high - low) * float(torch.rand(()))
        if self.longest_side is not None:
            factor *= self.longest_side / max(height, width)
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        nearest = isinstance(inpt, tv_tensors.Mask)
        mode = InterpolationMode.NEAREST_EXACT if nearest else InterpolationMode.BILINEAR
        return F.resize(inpt, params["size"], interpolation=mode, antialias=True)


class LowResolution(v2.Transform):
    """Shrink the photo by a factor up to ``factor`` and enlarge it again; labels are unchanged."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, factor: float = 4.0) -> None:
        super().__init__()
        self.factor = factor

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"factor": 1 + (self.factor - 1) * float(torch.rand(()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        size = list(inpt.shape[-2:])
        small = [max(1, round(side / params["factor"])) for side in size]
        return F.resize(F.resize(inpt, small, antialias=True), size, antialias=True)


class Sepia(v2.Transform):
    """Grey with a brown tint, like an old or filtered photo."""

    _transformed_types = (tv_tensors.Image,)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"strength": float(torch.rand(()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        cast = torch.tensor([0.15, 0.0, -0.25]) * params["strength"]
        grey = F.rgb_to_grayscale(inpt, num_output_channels=3).float()
        return tv_tensors.Image((grey * (1 + cast[:, None, None])).clamp(0, 255).to(torch.uint8))


class Darken(v2.Transform):
    """A dark exposure: gamma up to ``gamma``, then a gain down to 1 / ``gamma``, and sensor noise."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, gamma: float = 2.5, noise: float = 0.03) -> None:
        super().__init__()
        self.gamma = gamma
        self.noise = noise

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        power, gain = torch.rand(2).tolist()
        return {"power": 1 + (self.gamma - 1) * power, "gain": 1 - (1 - 1 / self.gamma) * gain}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        values = (inpt.float() / 255).pow(params["power"]) * params["gain"]
        values = values + self.noise * params["gain"] * torch.randn(values.shape)
        return tv_tensors.Image((values.clamp(0, 1) * 255).to(torch.uint8))


def geometric(
    label_set: LabelSet,
    crop: tuple[int, int],
    scale: tuple[float, float],
    longest_side: int | None,
    crop_around_person: float,
    mean: tuple[float, float, float],
    rotation: float = 0.0,
    bars: float = 0.0,
) -> v2.Transform:
    """Person crop, rotation, bars, resize, mirror and crop of ``crop`` = (height, width). Padding is ``mean`` in the
    photo (0 after normalisation) and the ignored value in the labels."""
    fill: dict[Any, Any] = {
        tv_tensors.Image: [round(255 * channel) for channel in mean],
        tv_tensors.Mask: label_set.ignore_index,
    }
    return v2.Compose(
        [
            CropAroundPerson(label_set, crop_around_person),
            Rotate(rotation, fill),
            Bars(bars),
            RandomScale(longest_side, scale),
            v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
            MirrorWithSwap(label_set),
        ]
    )


def photometric() -> v2.Transform:
    """Changes of colour, grey, sepia, darkness, blur, low resolution and strong compression; labels are unchanged."""
    return v2.Compose(
        [
            v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.3, 0.05)], p=0.6),
            v2.RandomGrayscale(p=0.15),
            v2.RandomApply([Sepia()], p=0.05),
            v2.RandomApply([Darken()], p=0.12),
            v2.RandomApply([v2.GaussianBlur(13, sigma=(0.3, 3))], p=0.1),
            v2.RandomApply([LowResolution()], p=0.12),
            v2.RandomApply([v2.JPEG((12, 80))], p=0.12),
        ]
    )


def normalize(image: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """From uint8 RGB (3, H, W) to float32, minus ``mean`` and divided by ``std`` (in units of 0..1)."""
    return F.normalize(F.to_dtype(image, torch.float32, scale=True), list(mean), list(std))
