"""Networks of timm by their names."""

from __future__ import annotations

import re
from typing import Any

import timm


def timm_network(name: str, **options: Any) -> Any:
    """timm's network ``name`` with random weights; ``options`` are those of ``timm.create_model``.

    Raises:
        ValueError: timm has no such network, or cannot build it with these options.
    """
    if not re.fullmatch(r"[\w.]+", name):  # "hf-hub:…" and "local-dir:…" would load what a recipe names
        raise ValueError(f"backbone: expected the name of a timm model, got {name!r}")
    try:
        return timm.create_model(name, **options)
    except (TypeError, AssertionError, NotImplementedError, RuntimeError) as error:
        advice = "expected a name from timm.list_models()"
        if "output_stride" in options:
            advice = "if the network cannot be dilated, set output_stride to null and choose a stage"
        raise ValueError(f"backbone: timm cannot build {name} with {options} ({error}); {advice}") from None
