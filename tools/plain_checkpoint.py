"""Rewrite a checkpoint that holds pickled objects as weights and plain values, which is all that ssnan reads.

    plain_checkpoint.py OLD.ckpt NEW.ckpt

READING OLD RUNS WHATEVER CODE IS IN IT: use it only for files that you made yourself. Paths become strings, and data
classes become dictionaries. The state of optimisers and callbacks is left out, so NEW can be evaluated, exported and
started from, but its training cannot continue.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch

from ssnan.io.writing import appearing_together

KEPT = ("hyper_parameters", "pytorch-lightning_version", "epoch", "global_step", "state_dict")


def plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str | torch.Tensor) or value is None:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    if options.new.exists():
        parser.error(f"{options.new}: exists; expected the name of a new file")
    content = torch.load(options.old, map_location="cpu", weights_only=False)
    with appearing_together() as written_at:
        torch.save({key: plain(content[key]) for key in KEPT if key in content}, written_at(options.new))


if __name__ == "__main__":
    main()
