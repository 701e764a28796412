"""A network from the plain values that a checkpoint keeps of its configuration. What is built are classes of this
package, and of modules that the running program has imported itself: nothing is imported at a file's word."""

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
"""What networks are made of."""


def build_network(values: Any) -> ParsingNetwork:
    """A network, with random weights.

    Args:
        values: ``{"class_path": …, "init_args": {…}}``, nested likewise.

    Raises:
        ValueError: not such values, a class of another kind, or arguments that it does not take.
    """
    network = _built(values)
    if not isinstance(network, ParsingNetwork):
        raise ValueError(f"expected the configuration of a network, got {type(values).__name__}")
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
        raise ValueError(f"expected arguments by name, got {arguments!r}")
    cls = _class(value["class_path"])
    try:
        return cls(**{name: _built(argument) for name, argument in arguments.items()})
    except ValueError:
        raise
    except Exception as error:  # whatever a class does with values that are none of its own
        raise ValueError(f"{cls.__name__}: cannot be built so ({type(error).__name__}: {error})") from None


def _class(path: Any) -> type:
    if isinstance(path, str) and re.fullmatch(r"ssnan\.models\.\w+\.\w+", path):
        module = path.rpartition(".")[0]
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)  # one of our own
    known = {name: cls for kind in KINDS for cls in _with_subclasses(kind) for name in _names(cls)}
    if not isinstance(path, str) or path not in known:
        raise ValueError(
            f"its configuration names the class {str(path)!r}, which is none of ssnan's networks or their parts; if "
            "it is yours, import its module before the file is loaded"
        )
    return known[path]


# A walk over what is loaded, since an import by name would run whatever module a checkpoint names.
def _with_subclasses(cls: type) -> list[type]:
    below: list[type] = cls.__subclasses__()
    return [cls, *(deeper for subclass in below for deeper in _with_subclasses(subclass))]


def _names(cls: type) -> tuple[str, ...]:
    """The class's place, and of our own the shorter one in ``ssnan.models``."""
    own = cls.__module__.startswith("ssnan.models.")
    return (f"{cls.__module__}.{cls.__qualname__}", *([f"ssnan.models.{cls.__qualname__}"] if own else []))
