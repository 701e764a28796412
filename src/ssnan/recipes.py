"""Recipes: find the YAML files of ``ssnan train`` by name, with their bases.

A recipe that changes another one names it with ``base: NAME`` (or a list of names). A name is a file in the same folder
or a recipe of ssnan. ``bundled/NAME`` is one file. ``lip/ss_nan`` is two files, ``data/lip.yaml`` and
``paper/ss_nan.yaml``, and a third, ``paper/SYSTEM.DATASET.yaml``, if the system needs changes for one dataset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from itertools import takewhile
from pathlib import Path

import yaml

from ssnan.errors import UserError, cause, did_you_mean, quoted
from ssnan.io.strict_yaml import read_yaml

CONFIGS = Path(str(resources.files("ssnan") / "configs"))


class RecipeError(UserError):
    """There is no such recipe, it is not YAML, has a key twice, or is its own base."""


def shipped() -> dict[str, list[str]]:
    """Names of ssnan's recipes: the paper's systems for each dataset, and those of the bundled models."""
    systems = [name for name in _names("paper") if "." not in name]
    return {**dict.fromkeys(_names("data"), systems), "bundled": _names("bundled")}


def summary(name: str) -> str:
    """The first sentence of a shipped recipe, which is a comment at the top of its file."""
    lines = _find(name, None)[-1].read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), lines))
    return re.split(r"(?<=\.) (?=[A-Z])", comment)[0]


def expand(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``ssnan train`` with each recipe after ``--config`` or ``-c`` replaced by its files, bases
    first.

    A base of several recipes appears once, at its first place.

    Raises:
        RecipeError: there is no such recipe, it is not YAML, has a key twice, or is its own base.
    """
    expanded: list[str] = []
    given: dict[Path, Path] = {}
    words = iter(arguments)
    for word in words:
        flag, joined, name = word.partition("=")
        if flag not in ("-c", "--config") or (not joined and (name := next(words, "")) == ""):
            expanded.append(word)
            continue
        known = len(given)
        _collect(name, None, given, ())
        for path in list(given.values())[known:]:
            expanded += ["--config", str(path)]
    return expanded


def _collect(name: str, beside: Path | None, given: dict[Path, Path], above: tuple[Path, ...]) -> None:
    """Add the files of a recipe to ``given``. ``beside`` is the file that names it; ``above`` are the files based on
    it."""
    for path in _find(name, beside):
        place = path.resolve()
        if place in above:
            raise RecipeError(f"{quoted(path)}: is its own base")
        if place not in given:
            for base in _bases(path):
                _collect(base, path, given, (*above, place))
            given[place] = path


def _find(name: str, beside: Path | None) -> list[Path]:
    """The files of a recipe, without its bases."""
    plain = name.removesuffix(".yaml")
    own = Path(name) if beside is None else beside.parent / f"{plain}.yaml"
    if own.is_file():
        return [own]
    folder, _, system = plain.partition("/")
    recipes = shipped()
    if system not in recipes.get(folder, ()):
        known = [f"{folder}/{stem}" for folder, stems in recipes.items() for stem in stems]
        where = "no such file" if beside is None else f"{quoted(beside)} has it as its base, but there is no such file"
        raise RecipeError(f"recipe {name!r}: {where}, and 'ssnan models' does not list it{did_you_mean(plain, known)}")
    if folder == "bundled":
        return [CONFIGS / "bundled" / f"{system}.yaml"]
    paper = CONFIGS / "paper"
    files = [CONFIGS / "data" / f"{folder}.yaml", paper / f"{system}.yaml", paper / f"{system}.{folder}.yaml"]
    return [path for path in files if path.is_file()]


def _names(folder: str) -> list[str]:
    return sorted(path.name.removesuffix(".yaml") for path in (CONFIGS / folder).glob("*.yaml"))


def _bases(path: Path) -> list[str]:
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{quoted(path)}: cannot be read ({cause(error)})") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{quoted(path)}: expected text in UTF-8") from None
    base = values.get("base") if isinstance(values, dict) else None
    names = [] if base is None else base if isinstance(base, list) else [base]
    if not all(isinstance(name, str) for name in names):
        raise RecipeError(f"{quoted(path)}: base: expected the name of a recipe or a list of names, got {base!r}")
    return names
