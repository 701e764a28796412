"""Running ``ssnan train`` for the rows of an experiment."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ssnan.evaluation.systems import RESULTS


def train(output: Path, configs: Sequence[Path], seed: int, start_from: Path | None = None) -> None:
    """Train into ``output``, unless a run has finished there; an interrupted run continues.

    Raises:
        subprocess.CalledProcessError: the training failed.
    """
    if (output / RESULTS).exists():
        return
    command = ["ssnan", "train", *(word for config in configs for word in ("--config", str(config)))]
    command += ["--output", str(output), "--seed_everything", str(seed), "--data.seed", str(seed)]
    command += ["--trainer.enable_progress_bar", "false"]
    command += [] if start_from is None else ["--model.start_from", str(start_from)]
    subprocess.run(command, check=True)


def best_of(run: Path) -> Path:
    """The checkpoint that a finished run picked."""
    return run / "checkpoints" / "best.ckpt"
