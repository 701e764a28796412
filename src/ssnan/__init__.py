"""Human parsing: label hair, face, clothes, left and right limbs at every pixel.

>>> import ssnan
>>> result = ssnan.load()("photo.jpg")
>>> result.mask("left-arm", "right-arm")
"""

from ssnan.data.folder import DatasetError
from ssnan.errors import UserError
from ssnan.io.opening import ImageError
from ssnan.labels import ATR, LIP, PASCAL_PERSON_PART, LabelSet, Region
from ssnan.loading import load
from ssnan.parsing.card import ModelCard, ModelError
from ssnan.parsing.parser import Parser
from ssnan.parsing.views import Views
from ssnan.results.images import summary
from ssnan.results.remapping import RemapError
from ssnan.results.result import ParsingResult

__version__ = "0.1.0"

__all__ = [
    "ATR",
    "LIP",
    "PASCAL_PERSON_PART",
    "DatasetError",
    "ImageError",
    "LabelSet",
    "ModelCard",
    "ModelError",
    "Parser",
    "ParsingResult",
    "Region",
    "RemapError",
    "UserError",
    "Views",
    "__version__",
    "load",
    "summary",
]
