"""One node: images in; a mask of chosen parts, an overlay and the label map out. It runs on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch

import ssnan
from ssnan.errors import unknown
from ssnan.parsing.card import bundled_cards

CARDS = {card.name: card for card in bundled_cards()}
"""Of the models that need no download."""


@lru_cache(maxsize=2)
def loaded(model: str) -> ssnan.Parser:
    """The parser of one of :data:`CARDS`.

    Raises:
        ValueError: it is another model.
    """
    if problem := unknown("model", [model], list(CARDS)):
        raise ValueError(problem)
    return ssnan.load(model)


class HumanParsing:
    """``IMAGE`` is (B, H, W, 3) in 0..1, ``MASK`` is (B, H, W) in 0..1, as everywhere in ComfyUI."""

    CATEGORY = "mask/human parsing"
    FUNCTION = "parse"
    RETURN_TYPES = ("MASK", "IMAGE", "IMAGE")
    RETURN_NAMES = ("mask", "overlay", "label map")
    DESCRIPTION = "Hair, face, clothes, left and right limbs as masks. Left and right are the person's own."

    EDGES: ClassVar[dict[str, str]] = {"soft": "the probability of the parts", "hard": "0 or 1"}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        known = ", ".join(next(iter(CARDS.values())).label_set.classes[1:])
        return {
            "required": {
                "image": ("IMAGE",),
                "parts": (
                    "STRING",
                    {"default": "upper-clothes, coat", "tooltip": f"joined by commas; empty for the person; {known}"},
                ),
                "edge": (list(cls.EDGES), {"default": "soft"}),
                "opacity": ("FLOAT", {"default": 0.65, "min": 0.0, "max": 1.0, "step": 0.05}),
                "model": (list(CARDS),),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, parts: str | None, model: str | None) -> bool | str:  # noqa: N802 - ComfyUI's name
        """True, or what is wrong, which ComfyUI shows before anything runs. It leaves both checks to this method, and
        gives None for an input that another node fills."""
        if model is None:
            return True
        problem = unknown("model", [model], list(CARDS))
        if problem or parts is None:
            return problem or True
        return unknown("part", names(parts), CARDS[model].label_set.classes) or True

    def parse(
        self, image: torch.Tensor, parts: str, edge: str, opacity: float, model: str
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        parser, chosen = loaded(model), names(parts)
        photos = (255 * image.detach().cpu().numpy()[..., :3]).clip(0, 255).round().astype(np.uint8)
        masks, overlays, maps = [], [], []
        for photo in photos:
            result = parser(photo)
            masks.append(result.probability(*chosen) if edge == "soft" else result.mask(*chosen).astype(np.float32))
            overlays.append(np.asarray(result.overlay(opacity)))
            maps.append(result.label_set.color_table[result.labels])
        as_images = [torch.from_numpy(np.stack(images).astype(np.float32) / 255) for images in (overlays, maps)]
        return torch.from_numpy(np.stack(masks)), *as_images


def names(parts: str) -> list[str]:
    return [name.strip() for name in parts.split(",") if name.strip()]


NODE_CLASS_MAPPINGS = {"HumanParsing": HumanParsing}
NODE_DISPLAY_NAME_MAPPINGS = {"HumanParsing": "Human Parsing (ssnan)"}
