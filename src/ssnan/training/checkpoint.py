"""Checkpoints as parsers: what was trained, run by torch."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssnan.errors import cause, quoted
from ssnan.evaluation.figures import Shown
from ssnan.models import ParsingNetwork
from ssnan.models.building import build_network
from ssnan.parsing.card import ModelError
from ssnan.parsing.parser import ONE_VIEW, Parser
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.parsing.views import Views
from ssnan.training.task import ParsingTask


class TorchEngine:
    """A network in evaluation mode: on a GPU if there is one, compiled and in bf16 there; on the CPU as
    it is."""

    def __init__(self, network: ParsingNetwork, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        # Pictures differ in size: one compilation must do for all.
        self.network = network if self.device.type == "cpu" else torch.compile(network, dynamic=True)

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        images = torch.from_numpy(pixels).to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            scores: NDArray[np.float32] = self.network(images).scores.float().cpu().numpy()
        return scores

    @torch.inference_mode()
    def scale_weights(self, pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Weights (B, S, h, w) of Eq. 3 for normalised pixels (B, 3, H, W); None from a network without them."""
        weights = self.network(torch.from_numpy(pixels).to(self.device)).scale_weights
        return None if weights is None else weights.float().cpu().numpy()


def read_content(path: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors and plain values, since nothing else is unpickled.

    Raises:
        ModelError: missing, damaged, or more than that.
    """
    if not path.is_file():
        raise ModelError(f"{quoted(path)}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "nsupported" not in str(error):
            raise ModelError(f"{quoted(path)}: damaged, or no checkpoint ({cause(error)})") from None
        raise ModelError(
            f"{quoted(path)}: holds more than weights and plain values, and reading that could run code which "
            "somebody put there; if you made it yourself, tools/plain_checkpoint.py of ssnan's repository rewrites it"
        ) from None
    except Exception as error:  # of zip files, of tensors that are cut off
        raise ModelError(f"{quoted(path)}: damaged, or no checkpoint ({cause(error)})") from None
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise ModelError(f"{quoted(path)}: not a checkpoint of 'ssnan train'")
    return content


def read_task(path: Path) -> ParsingTask:
    """The task of a checkpoint, network and weights included, on the CPU; see
    :mod:`ssnan.models.building` for which networks there may be.

    Raises:
        ModelError: missing, or no checkpoint of ``ssnan train``.
    """
    content = read_content(path)
    try:
        return task_of(content["hyper_parameters"], content["state_dict"])
    except Exception as error:  # of values that are none of ours
        raise ModelError(f"{quoted(path)}: not a checkpoint of 'ssnan train' ({cause(error)})") from None


def task_of(values: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> ParsingTask:
    """A task to parse or to measure with, from the plain values that describe it, its network as
    ``{"class_path": …, "init_args": {…}}``, and its tensors. What the values say of its training is not read, but stays
    with it, as its ``hparams``: it has had other names.

    Raises:
        Exception: of whatever kind, where they are none of ours.
    """
    read = dict(values["preprocessing"])
    preprocessing = Preprocessing(**read | {name: tuple(read[name]) for name in ("mean", "std")})
    task = ParsingTask(build_network(values["network"]), values["label_set"], preprocessing)
    classes = getattr(task.network, "num_classes", None)
    if classes != len(task.label_set):
        raise ValueError(f"its network has {classes} classes, its label set {len(task.label_set)}")
    task.load_state_dict(dict(state))
    task.hparams.update(values)
    return task.eval()


def load_checkpoint(path: Path, threads: int | None = None, views: Views = ONE_VIEW) -> Parser:
    """A parser of a checkpoint.

    Raises:
        ModelError: as :func:`read_task`.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    task = read_task(path)
    return Parser(TorchEngine(task.network), task.label_set, task.preprocessing, views)


def show(name: str, checkpoint: Path) -> Shown:
    """A checkpoint as the figures want it.

    Raises:
        ModelError: as :func:`read_task`.
    """
    task = read_task(checkpoint)
    engine = TorchEngine(task.network)
    parser = Parser(engine, task.label_set, task.preprocessing)
    return Shown(name, parser, getattr(task.network, "scales", ()))
