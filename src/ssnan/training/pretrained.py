"""Networks in the format of the hub, ``config.json`` and ``model.safetensors``, with huggingface_hub's mixin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelHubMixin
from safetensors.torch import load_file, save_file
from torch import Tensor

from ssnan.errors import cause, quoted
from ssnan.hub.download import download, offline_if_unreachable
from ssnan.hub.readme import readme
from ssnan.parsing.card import ModelError
from ssnan.parsing.parser import Parser
from ssnan.training.checkpoint import TorchEngine, task_of
from ssnan.training.task import ParsingTask

CONFIG, WEIGHTS = "config.json", "model.safetensors"
KEPT = ("network", "label_set", "preprocessing")
"""The values of a checkpoint that describe the network and not its training."""

USE = """
from ssnan.training.pretrained import PretrainedNetwork

pretrained = PretrainedNetwork.from_pretrained("{name}")
pretrained.task.network        # for further training; model.start_from takes its file too
pretrained.parser()("photo.jpg")
"""


class PretrainedNetwork(ModelHubMixin):
    """A trained network with its label set and preprocessing, for folders and the hub.

    huggingface_hub defines ``save_pretrained(folder, push_to_hub=…)`` and ``from_pretrained("owner/name")``.

    Args:
        task: from :func:`ssnan.training.checkpoint.read_task`.
        about: notes for its README, as in ``about`` of a model card.
    """

    def __init__(self, task: ParsingTask, about: Mapping[str, Any] | None = None) -> None:
        self.task = task
        self.about = dict(about or {})

    def parser(self) -> Parser:
        """A parser that runs the network with torch."""
        return Parser(TorchEngine(self.task.network), self.task.label_set, self.task.preprocessing)

    def _save_pretrained(self, save_directory: Path) -> None:
        config = {name: self.task.hparams[name] for name in KEPT}
        (save_directory / CONFIG).write_text(json.dumps(config | {"about": self.about}, indent=2) + "\n")
        state = {key: value.contiguous() for key, value in self._state().items()}
        save_file(state, save_directory / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> PretrainedNetwork:
        """Load a network from a folder or the hub. Without a connection, huggingface_hub alone would retry for half a
        minute.

        Raises:
            ModelError: there is no such folder or name, or it has no files of ``save_pretrained``.
        """
        with offline_if_unreachable():
            return super().from_pretrained(pretrained_model_name_or_path, **options)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None, **_: Any) -> PretrainedNetwork:
        folder = Path(model_id)
        if not folder.is_dir():
            folder = download(f"{model_id}@{revision}" if revision else model_id, (CONFIG, WEIGHTS))
        try:
            config = json.loads((folder / CONFIG).read_bytes())
            state = load_file(folder / WEIGHTS)
            return cls(task_of({name: config[name] for name in KEPT}, state), config.get("about"))
        except Exception as error:  # the files may contain anything
            raise ModelError(f"{quoted(folder)}: not a folder of save_pretrained ({cause(error)})") from None

    def _state(self) -> dict[str, Tensor]:
        return {f"network.{key}": value for key, value in self.task.network.state_dict().items()}

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        name = str(kwargs.get("name") or self.about.get("name") or type(self.task.network).__name__)
        return ModelCard(readme(name, self.task.label_set, self.about, USE.format(name=name)))
