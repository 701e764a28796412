"""Model cards: what a set of weights is, and how pictures must be handed to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ssnan.labels import LabelSet
from ssnan.parsing.preprocessing import Preprocessing

DEFAULT_MODEL = "small"


class ModelError(ValueError):
    """A model cannot be found or read; the message says why, in one line."""


@dataclass(frozen=True)
class ModelCard:
    """The JSON beside an ONNX file.

    Attributes:
        name: of the model.
        label_set: what its classes mean.
        preprocessing: what it reads.
        files: the weights, by engine; ``onnxruntime``'s ONNX file is what every engine without a file
            of its own runs.
        about: everything a person wants to know: training data, licence, recipe, measured numbers.
    """

    name: str
    label_set: LabelSet
    preprocessing: Preprocessing
    files: dict[str, Path]
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card.

        Raises:
            ModelError: the card or its weights are missing, or it is no card.
        """
        try:
            values = json.loads(path.read_text())
            card = cls(
                name=values["name"],
                label_set=LabelSet.from_dict(values["label_set"]),
                preprocessing=Preprocessing(
                    mean=tuple(values["preprocessing"]["mean"]),
                    std=tuple(values["preprocessing"]["std"]),
                    longest_side=values["preprocessing"]["longest_side"],
                    multiple=values["preprocessing"]["multiple"],
                ),
                files={engine: path.parent / name for engine, name in values["weights"].items()},
                about=values["about"],
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: not a model card of ssnan ({type(error).__name__}: {error})") from None
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror}; every model needs its card beside it") from None
        for file in card.files.values():
            if not file.is_file():
                raise ModelError(f"{file}: no such file, though {path.name} names it")
        if "onnxruntime" not in card.files:
            raise ModelError(f"{path}: names no weights for onnxruntime, which every model needs")
        return card

    def weights(self, engine: str = "onnxruntime") -> Path:
        """The file that an engine runs."""
        return self.files.get(engine, self.files["onnxruntime"])

    def write(self, path: Path) -> None:
        """Write the card; its weights must lie in the same folder."""
        values = {
            "name": self.name,
            "weights": {engine: file.name for engine, file in self.files.items()},
            "label_set": self.label_set.as_dict(),
            "preprocessing": asdict(self.preprocessing),
            "about": self.about,
        }
        path.write_text(json.dumps(values, indent=2) + "\n")


def find_card(model: str | Path) -> ModelCard:
    """The card of a bundled model by name, or of an .onnx or .json file.

    Raises:
        ModelError: there is no such model.
    """
    bundled = {path.stem: path for path in _bundled()}
    if str(model) in bundled:
        return ModelCard.read(bundled[str(model)])
    path = Path(model)
    if path.suffix in (".json", ".onnx"):
        return ModelCard.read(path.with_suffix(".json"))
    raise ModelError(
        f"model {str(model)!r}: expected one of {', '.join(bundled) or '(none bundled)'}, an .onnx file with its "
        ".json card beside it, or a .ckpt checkpoint"
    )


def bundled_cards() -> list[ModelCard]:
    """The cards of all models that come with the package."""
    return [ModelCard.read(path) for path in _bundled()]


def _bundled() -> list[Path]:
    return sorted(Path(str(resources.files("ssnan") / "weights")).glob("*.json"))
