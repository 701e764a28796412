"""The recipes of all runs at full size, as arguments of ``ssnan train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CONFIGS = Path(__file__).parent / "configs"


def piece(name: str) -> str:
    """A file of ``configs/``, which goes on top of a recipe."""
    return str(CONFIGS / f"{name}.yaml")


def of_paper(recipe: str, *pieces: str) -> list[str]:
    """A recipe for LIP with our data and budget, and more pieces on top."""
    return [f"lip/{recipe}", piece("sources"), piece("budget"), *map(piece, pieces)]


BUNDLED = {
    "small": ["bundled/full", piece("bundled")],
    "base": ["bundled/full", piece("bundled"), piece("base")],
}
"""The bundled model's recipe, on its own network and on a deeper one."""

FIRST = {
    "ss_nan": of_paper("ss_nan", "resnet101"),
    "average": of_paper("ss_nan", "resnet101", "average"),
    "maximum": of_paper("ss_nan", "resnet101", "maximum"),
    "residual": of_paper("ss_nan", "resnet101", "residual"),
    "skip_net": of_paper("ss_nan", "resnet101", "skip_net"),
    "deeplab_v2": of_paper("deeplab_v2_resnet101", "resnet101"),
    "fcn_8s": of_paper("fcn_8s", "fcn_8s"),
    "lg_lstm": of_paper("lg_lstm", "resnet101"),
    "attention": of_paper("attention", "resnet101"),
    "segnet": of_paper("segnet", "segnet"),
    "hazn": of_paper("hazn", "resnet101"),
}
"""The paper's systems, and the first of two steps."""

SECOND = {
    "ss_nan_step2": ("ss_nan", of_paper("ss_nan_step2", "resnet101")),
    "ss_nan_step2_none": ("ss_nan", of_paper("ss_nan_step2", "resnet101", "no_joint_loss")),
    "attention_ssl": ("attention", of_paper("attention_ssl", "resnet101")),
}
"""Second steps, and the first that they start from."""

SYSTEMS = (
    *("ss_nan", "average", "maximum", "skip_net", "ss_nan_step2", "ss_nan_step2_none"),
    *("deeplab_v2", "fcn_8s", "lg_lstm", "residual", "attention", "attention_ssl", "segnet", "hazn"),
)
"""The paper's systems in the order of their trainings, what matters most first."""


def arguments_of(name: str, also: Sequence[str] = ()) -> list[str]:
    """What ``ssnan train`` is told for a run, with recipes on top."""
    files = BUNDLED.get(name) or FIRST.get(name) or SECOND[name][1]
    return [word for file in (*files, *also) for word in ("--config", file)]


def tiny(name: str) -> list[str]:
    """The recipes that make a run tiny, to try it on a CPU."""
    return [piece("tiny"), *([piece("tiny_hazn")] if name == "hazn" else [])]
