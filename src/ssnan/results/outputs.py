"""The files that can be saved of a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from ssnan.io.masks import png
from ssnan.io.storing import png_info
from ssnan.results.images import confidence_image, summary
from ssnan.results.people_images import people_image
from ssnan.results.render import SCREEN_SIDE
from ssnan.results.result import ParsingResult, person_of

KINDS = {
    "overlay": "the label map over the photo",
    "summary": "photo, overlay and legend",
    "json": "areas, boxes, centres and joints",
    "confidence": "probability of the predicted class as grey levels",
    "masks": "one black and white mask per part",
    "cutout": "the parts on a transparent background",
    "crop": "the photo cropped to the box of the parts",
    "people": "the person at every pixel, and a map of each person; the overlay has a colour for each",
}
"""Files that can be saved beside the map."""

OF_VIDEOS = ("overlay", "json", "confidence", "people")
"""Those that videos have too."""

OF_PARTS = ("masks", "cutout", "crop")
"""Those that show only the given parts."""

Content = Callable[[], bytes]


def files(result: ParsingResult, image: str, kinds: Sequence[str], parts: Sequence[str]) -> dict[str, Content]:
    """The files of a result: a function for the content of each suffix.

    Args:
        result: the result.
        image: name of the photo, for the JSON and the metadata of every PNG.
        kinds: some of :data:`KINDS`; the map itself always comes last.
        parts: parts for :data:`OF_PARTS`. If empty, the whole person, and masks of every part in the photo. There is no
            crop if none of the parts is in the photo.
    """
    made: dict[str, Content] = {}
    info = partial(png_info, photo=image)
    for kind in kinds:
        match kind:
            case "overlay":
                made[".overlay.png"] = lambda: png(result.overlay(people="people" in kinds), info())
            case "summary":
                made[".summary.png"] = lambda: png(summary(result.reduced_photo(SCREEN_SIDE), result), info())
            case "json":
                made[".json"] = lambda: (json.dumps({"image": image} | result.to_dict(), indent=2) + "\n").encode()
            case "confidence":
                made[".confidence.png"] = lambda: png(confidence_image(result), info())
            case "masks":
                for part in parts or [name for name in result.areas if name != result.label_set.classes[0]]:
                    made[f".mask.{part}.png"] = lambda part=part: png(  # type: ignore[misc]
                        Image.fromarray(result.mask(part).astype(np.uint8) * 255), info()
                    )
            case "cutout":
                made[".cutout.png"] = lambda: png(result.cutout(*parts), info())
            case "crop":
                if result.mask(*parts).any():
                    made[".crop.png"] = lambda: png(result.crop(*parts), info())
            case "people":
                made[".people.png"] = lambda: png(people_image(result.people_map), info())
                for number in range(1, 1 + result.count):
                    made[f".person{number}.png"] = lambda number=number: png(  # type: ignore[misc]
                        person_of(result, number).to_image(), info(result.label_set, number)
                    )
    return made | {".png": lambda: png(result.to_image(), info(result.label_set))}
