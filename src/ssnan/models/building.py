"""Build a network from the plain values in a checkpoint. Only classes of this package and of modules that the program
has already imported are allowed: a file never causes an import."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping
from typing import Any

from ssnan.models.aggregation import Aggregation
from ssnan.models.backbone import Backbone, Pyramid, SkipBackbone
from ssnan.models.output import ParsingNetwork

KINDS: tuple[type, ...] = (ParsingNetwork, Aggregation, Backbone, SkipBackbone, Pyramid)
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
    if isinstance(path, str) and re.fullmatch(r"ssnan\.models\.\w+\.\w+", path):
        module = path.rpartition(".")[0]
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)  # a module of ssnan
    known = {name: cls for kind in KINDS for cls in _with_subclasses(kind) for name in _names(cls)}
    if not isinstance(path, str) or path not in known:
        raise ValueError(
            f"its configuration names the class {str(path)!r}, which is not a network of ssnan or a part of one; if "
            "the class is your own, import its module before you load the file"
        )
    return known[path]


# Look only among loaded classes, because an import by name would run any module that a checkpoint names.
def _with_subclasses(cls: type) -> list[type]:
    below: list[type] = cls.__subclasses__()
    return [cls, *(deeper for subclass in below for deeper in _with_subclasses(subclass))]


def _names(cls: type) -> tuple[str, ...]:
    """The paths of a class; those of ssnan also have a short one in ``ssnan.models``."""
    own = cls.__module__.startswith("ssnan.models.")
    return (f"{cls.__module__}.{cls.__qualname__}", *([f"ssnan.models.{cls.__qualname__}"] if own else []))
