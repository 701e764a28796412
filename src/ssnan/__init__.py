"""Human parsing: hair, face, clothes, left and right limbs, pixel by pixel.

>>> import ssnan
>>> result = ssnan.load()("photo.jpg")
>>> result.mask("left-arm", "right-arm")
"""

from ssnan.card import ModelCard, ModelError
from ssnan.images import ImageError
from ssnan.labels import LIP, PASCAL_PERSON_PART, LabelSet, Region
from ssnan.parser import Parser, load
from ssnan.render import overlay
from ssnan.result import ParsingResult
from ssnan.views import Views

__all__ = [
    "LIP",
    "PASCAL_PERSON_PART",
    "ImageError",
    "LabelSet",
    "ModelCard",
    "ModelError",
    "Parser",
    "ParsingResult",
    "Region",
    "Views",
    "load",
    "overlay",
]
