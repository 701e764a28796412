"""What can be saved of a result, as files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssnan.parsing.render import SCREEN_SIDE, confidence_image, summary
from ssnan.parsing.result import ParsingResult
from ssnan.parsing.storing import png_info

KINDS = {
    "overlay": "the photo under its map",
    "summary": "photo, overlay and a legend of the parts",
    "json": "what was found: areas, boxes, centres, joints",
    "confidence": "probability of the chosen class as grey levels",
    "masks": "a black and white mask for each part",
    "cutout": "the photo with all but the parts made transparent",
    "crop": "the photo cut to the parts' box",
}
"""What may be saved beside the map."""

OF_FILMS = ("overlay", "json", "confidence")
"""Those that films have too."""

Content = Callable[[], bytes]


def files(result: ParsingResult, image: str, kinds: Sequence[str], parts: Sequence[str]) -> dict[str, Content]:
    """The files of a result: ending to content, which is made when it is called.

    Args:
        result: of a parser.
        image: the photo's name, for the JSON.
        kinds: which of :data:`KINDS`; the map itself comes last, whatever they are.
        parts: that ``masks``, ``cutout`` and ``crop`` are of; the whole person if empty, and masks then of
            every part that is there. A crop is left out where none of them is.
    """
    made: dict[str, Content] = {}
    for kind in kinds:
        match kind:
            case "overlay":
                made[".overlay.png"] = lambda: _png(result.overlay())
            case "summary":
                made[".summary.png"] = lambda: _png(summary(result.reduced_photo(SCREEN_SIDE), result))
            case "json":
                made[".json"] = lambda: (json.dumps({"image": image} | result.to_dict(), indent=2) + "\n").encode()
            case "confidence":
                made[".confidence.png"] = lambda: _png(confidence_image(result))
            case "masks":
                for part in parts or [name for name in result.areas if name != result.label_set.classes[0]]:
                    made[f".mask.{part}.png"] = lambda part=part: _png(  # type: ignore[misc]
                        Image.fromarray(result.mask(part).astype(np.uint8) * 255)
                    )
            case "cutout":
                made[".cutout.png"] = lambda: _png(result.cutout(*parts))
            case "crop":
                if result.mask(*parts).any():
                    made[".crop.png"] = lambda: _png(result.crop(*parts))
    return made | {".png": lambda: _png(result.to_image(), png_info(result.label_set))}


def _png(picture: Image.Image, info: PngInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()
