"""Build a network from the plain values in a checkpoint. Only classes of this package and of modules that the program
has already imported are allowed: a file never causes an import."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from typing import Any

from ssnan.models.aggregation import Aggregation
from ssnan.models.backbone import Backbone, Pyramid, SkipBackbone
from ssnan.models.mean_field import MeanField
from ssnan.models.output import ParsingNetwork

KINDS: tuple[type, ...] = (ParsingNetwork, Aggregation, Backbone, SkipBackbone, Pyramid, MeanField)
"""Base classes of networks and their parts."""


def build_network(values: Any) -> ParsingNetwork:
    """A network with random weights.

    Args:
        values: ``{"class_path": …, "init_args": {…}}``, possibly nested.

    Raises:
        ValueError: the values have another form, or the class or its arguments are not allowed.
    """
    network = _built(values)
    if not isinstance(network, ParsingNetwork):
        raise ValueError(f"expected class_path and init_args of a network, got {type(values).__name__}")
    return network


def _built(value: Any) -> Any:
    if isinstance(value, list):
        return [_built(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "class_path" not in value:
        return {key: _built(item) for key, item in value.items()}
    arguments = value.get("init_args") or {}
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise ValueError(f"expected named arguments, got {arguments!r}")
    cls = _class(value["class_path"])
    try:
        return cls(**{name: _built(argument) for name, argument in arguments.items()})
    except ValueError:
        raise
    except Exception as error:  # a class may raise anything for invalid values
        raise ValueError(f"{cls.__name__}: cannot be built ({type(error).__name__}: {error})") from None


def _class(path: Any) -> type:
    """A class of this package or of a module that is already imported. Importing another one could run anything."""
    module, _, name = str(path).rpartition(".")
    if re.fullmatch(r"ssnan\.models\.\w+", module) and importlib.util.find_spec(module) is not None:
        importlib.import_module(module)
    cls = getattr(sys.modules.get(module), "__dict__", {}).get(name)  # not getattr(…, name), which may import
    if not (isinstance(cls, type) and issubclass(cls, KINDS)):
        raise ValueError(
            f"its configuration names the class {str(path)!r}, which is not a network of ssnan or a part of one; if "
            "the class is your own, import its module before you load the file"
        )
    return cls
