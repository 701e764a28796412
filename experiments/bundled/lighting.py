"""Light and shade for training photos: a callback that changes the brightness of parts of a photo, not its labels.

The bundled model gives one garment two classes where light falls on it unevenly. Here a photo is multiplied by a smooth
random map, some photos get a cast shadow with a straight edge, and its mid-tones become lighter or darker.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import interpolate

PLAIN = "plain"
"""The photos of a batch before the change; an earlier model that teaches sees these (:mod:`.keeping`)."""

CELLS = 4
"""Random values of a map along each side of a photo; bicubic between them."""

STRENGTH = 0.45
"""Largest standard deviation of the logarithm of a map at these values; each photo draws its own."""

SHADOW = 0.3
"""Share of the changed photos with a cast shadow, which leaves 35 to 80 % of the light."""

TONES = 0.25
"""Standard deviation of the logarithm of gamma."""


def light(count: int, height: int, width: int, device: torch.device | None = None) -> Float[Tensor, "b 1 H W"]:
    """Factors on the light of every pixel, one map a photo."""
    smooth = torch.randn(count, 1, CELLS, CELLS, device=device) * STRENGTH * _each(count, device)
    angle, softness = 2 * math.pi * _each(count, device), 0.01 + 0.1 * _each(count, device)
    offset = 0.5 * torch.randn(count, 1, 1, 1, device=device)
    y, x = torch.linspace(-1, 1, height, device=device)[:, None], torch.linspace(-1, 1, width, device=device)
    beyond = angle.cos() * x + angle.sin() * y - offset
    dark = (0.35 + 0.45 * _each(count, device)).log() * (_each(count, device) < SHADOW)
    return (interpolate(smooth, (height, width), mode="bicubic") + dark * (beyond / softness).sigmoid()).exp()


def _each(count: int, device: torch.device | None) -> Float[Tensor, "b 1 1 1"]:
    """A random number from 0 to 1 for each photo."""
    return torch.rand(count, 1, 1, 1, device=device)


def relit(pixels: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
    """Photos, 0..1, in other light."""
    gamma = (TONES * torch.randn(len(pixels), 1, 1, 1, device=pixels.device)).exp()
    return (light(len(pixels), *pixels.shape[2:], pixels.device) * pixels.clamp_min(0) ** gamma).clamp_max(1)


class Lighting(Callback):
    """Changes the light of a ``share`` of the photos of every batch, and keeps the photos as they were in ``plain``."""

    def __init__(self, share: float = 0.7) -> None:
        self.share = share

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        images = batch["images"]
        batch[PLAIN] = images
        mean, std = (
            torch.tensor(values).to(images).view(3, 1, 1)
            for values in (pl_module.preprocessing.mean, pl_module.preprocessing.std)
        )
        changed = _each(len(images), images.device) < self.share
        batch["images"] = torch.where(changed, (relit(images * std + mean) - mean) / std, images)
