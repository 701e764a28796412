"""Recipes: the YAML files of ``ssnan train``, by their names, each after the ones that it builds on.

A recipe says ``base: NAME`` (or a list of names) where it only changes another one. A name is a file beside it, or a
recipe that comes with ssnan: ``bundled/NAME`` is one file, and ``lip/ss_nan`` two, ``data/lip.yaml`` and
``paper/ss_nan.yaml``. What a system needs on one dataset alone stands in a third, ``paper/SYSTEM.DATASET.yaml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import yaml

from ssnan.errors import UserError, did_you_mean, quoted

CONFIGS = Path(str(resources.files("ssnan") / "configs"))


class RecipeError(UserError):
    """There is no such recipe, or it builds on itself; the message says which."""


def shipped() -> dict[str, list[str]]:
    """Names of the recipes that come with ssnan: of each dataset the paper's systems, and the bundled models'."""
    systems = [name for name in _names("paper") if "." not in name]
    return {**dict.fromkeys(_names("data"), systems), "bundled": _names("bundled")}


def expand(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``ssnan train``, each recipe after ``--config`` or ``-c`` replaced by its files, bases first.

    A file that several recipes build on is read once, where it comes first.

    Raises:
        RecipeError: there is no such recipe, or it builds on itself.
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
    """Add the files of a recipe to ``given``; the file ``beside`` names it, and ``above`` are all that build on it."""
    for path in _find(name, beside):
        place = path.resolve()
        if place in above:
            raise RecipeError(f"{quoted(path)}: builds on itself")
        if place not in given:
            for base in _bases(path):
                _collect(base, path, given, (*above, place))
            given[place] = path


def _find(name: str, beside: Path | None) -> list[Path]:
    """The files of a recipe without its bases."""
    plain = name.removesuffix(".yaml")
    own = Path(name) if beside is None else beside.parent / f"{plain}.yaml"
    if own.is_file():
        return [own]
    folder, _, system = plain.partition("/")
    recipes = shipped()
    if system not in recipes.get(folder, ()):
        known = [f"{folder}/{stem}" for folder, stems in recipes.items() for stem in stems]
        where = "no such file" if beside is None else f"{quoted(beside)} builds on it, but there is no such file"
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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return []  # training says what is wrong with it
    base = values.get("base") if isinstance(values, dict) else None
    return [] if base is None else [base] if isinstance(base, str) else list(base)
