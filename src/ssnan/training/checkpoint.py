"""Read checkpoints, and run them with torch."""

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
from ssnan.models import ParsingNetwork, ParsingOutput
from ssnan.models.building import build_network
from ssnan.parsing.card import ModelError
from ssnan.parsing.engines import refuse_unless_threads
from ssnan.parsing.parser import ONE_VIEW, Parser
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.parsing.views import Views
from ssnan.training.task import ParsingTask


class TorchEngine:
    """A network in evaluation mode. On a GPU, if there is one, it is compiled and runs in bf16.

    Attributes:
        tells_apart: whether the network has an instance head.
    """

    def __init__(self, network: ParsingNetwork, device: torch.device | None = None) -> None:
        self.tells_apart = network.tells_apart
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        # Photos differ in size, and one compilation must serve all.
        self.network = network if self.device.type == "cpu" else torch.compile(network, dynamic=True)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return _numpy(self._output(pixels).scores)

    def with_people(self, pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The scores, and the maps of the instance head, (B, 3, p, q), see :mod:`ssnan.scores.grouping`."""
        output = self._output(pixels)
        assert output.people is not None
        return _numpy(output.scores), _numpy(output.people)

    def scale_weights(self, pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The weights (B, S, h, w) of Eq. 3 for normalised pixels (B, 3, H, W); None for a network without them."""
        weights = self._output(pixels).scale_weights
        return None if weights is None else _numpy(weights)

    @torch.inference_mode()
    def _output(self, pixels: NDArray[np.float32]) -> ParsingOutput:
        images = torch.from_numpy(pixels).to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            output: ParsingOutput = self.network(images)
        return output


def _numpy(maps: torch.Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = maps.float().cpu().numpy()
    return values


def read_content(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint: tensors and plain values. Nothing else is unpickled.

    Raises:
        ModelError: the file is missing, damaged, or contains anything else.
    """
    if not path.is_file():
        raise ModelError(f"{quoted(path)}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "nsupported" not in str(error) or "nsupported operand" in str(error):  # the latter is no pickle at all
            raise ModelError(f"{quoted(path)}: damaged, or not a checkpoint ({cause(error)})") from None
        raise ModelError(
            f"{quoted(path)}: contains more than weights and plain values, so reading it could run foreign "
            "code; if the file is your own, convert it with tools/plain_checkpoint.py of ssnan's repository"
        ) from None
    except Exception as error:  # from damaged zip files and tensors
        raise ModelError(f"{quoted(path)}: damaged, or not a checkpoint ({cause(error)})") from None
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise ModelError(f"{quoted(path)}: not a checkpoint of 'ssnan train'")
    return content


def read_task(path: Path) -> ParsingTask:
    """The task of a checkpoint on the CPU, with its network and weights. :mod:`ssnan.models.building` describes the
    allowed networks.

    Raises:
        ModelError: the file is missing, or not a checkpoint of ``ssnan train``.
    """
    content = read_content(path)
    try:
        return task_of(content["hyper_parameters"], content["state_dict"])
    except Exception as error:  # the values may be anything
        raise ModelError(f"{quoted(path)}: not a checkpoint of 'ssnan train' ({cause(error)})") from None


def task_of(values: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> ParsingTask:
    """A task for parsing or evaluation from its plain values, with the network as
    ``{"class_path": …, "init_args": {…}}``, and its tensors. The values become its ``hparams``; those of the training
    are not read, because they had other names.

    Raises:
        Exception: of any type, if the values are invalid.
    """
    read = dict(values["preprocessing"])
    preprocessing = Preprocessing(**read | {name: tuple(read[name]) for name in ("mean", "std")})
    task = ParsingTask(build_network(values["network"]), values["label_set"], preprocessing)
    classes = getattr(task.network, "num_classes", None)
    if classes != len(task.label_set):
        raise ValueError(f"its network has {classes} classes, but its label set {len(task.label_set)}")
    task.load_state_dict(dict(state))
    task.hparams.update(values)
    return task.eval()


def load_checkpoint(path: Path, threads: int | None = None, views: Views = ONE_VIEW) -> Parser:
    """Load a checkpoint as a parser.

    Raises:
        ModelError: as :func:`read_task`, or ``threads`` is not in 1..256.
    """
    refuse_unless_threads(threads)
    task = read_task(path)
    if threads is not None:
        torch.set_num_threads(threads)
    return Parser(TorchEngine(task.network), task.label_set, task.preprocessing, views)


def show(name: str, checkpoint: Path) -> Shown:
    """Load a checkpoint for the figures.

    Raises:
        ModelError: as :func:`read_task`.
    """
    task = read_task(checkpoint)
    engine = TorchEngine(task.network)
    parser = Parser(engine, task.label_set, task.preprocessing)
    return Shown(name, parser, getattr(task.network, "scales", ()))
