"""Model cards: the label set, the preprocessing and the documentation of a model."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ssnan.errors import UserError, of_file, quoted
from ssnan.io.writing import write_text
from ssnan.labels import LabelSet
from ssnan.parsing.preprocessing import Preprocessing

DEFAULT_MODEL = "small"


class ModelError(UserError):
    """A model cannot be found, read or run; the message says why."""


@dataclass(frozen=True)
class ModelCard:
    """The JSON beside an ONNX file.

    Attributes:
        name: name of the model.
        label_set: its label set.
        preprocessing: the preprocessing of its input.
        files: file of the weights for each engine; engines without a file run the ONNX file of ``onnxruntime``.
        min_person_confidence: 0..1; a photo shows nobody if the mean probability of a person, over the pixels called
            person, is below this. 0 keeps every result.
        about: notes for readers: training data, licence, recipe, measured numbers.
        sha256: checksums of the weights by file name; :meth:`write` computes them.
    """

    name: str
    label_set: LabelSet
    preprocessing: Preprocessing
    files: dict[str, Path]
    min_person_confidence: float = 0.0
    about: dict[str, Any] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card.

        Raises:
            ModelError: the card or its weights are missing, or the card is invalid.
        """
        try:
            if path.exists() and not path.is_file():
                raise ModelError(f"{quoted(path)}: not a regular file; expected a model card")
            values = json.loads(path.read_bytes())
            card = cls(
                name=str(values["name"]),
                label_set=LabelSet.from_dict(values["label_set"]),
                preprocessing=Preprocessing(
                    mean=tuple(values["preprocessing"]["mean"]),
                    std=tuple(values["preprocessing"]["std"]),
                    longest_side=values["preprocessing"]["longest_side"],
                    multiple=values["preprocessing"]["multiple"],
                ),
                files={engine: _beside(path, name) for engine, name in values["weights"].items()},
                min_person_confidence=_share(values.get("min_person_confidence", 0)),
                about=_notes(values["about"]),
                sha256=dict(values.get("sha256", {})),
            )
        except ModelError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ModelError(f"{quoted(path)}: not a model card of ssnan ({type(error).__name__}: {error})") from None
        except OSError as error:
            raise ModelError(f"{of_file(error, path)}; a model needs its card beside it") from None
        for file in card.files.values():
            if not file.is_file():
                raise ModelError(f"{quoted(file)}: no such file, but {quoted(path.name)} names it")
        if "onnxruntime" not in card.files:
            raise ModelError(f"{quoted(path)}: names no weights for onnxruntime, but every model needs them")
        return card

    def weights(self, engine: str = "onnxruntime") -> Path:
        """The file that an engine runs."""
        return self.files.get(engine, self.files["onnxruntime"])

    def all_files(self) -> list[Path]:
        """All files of the weights, sorted by name, including companion files."""
        return sorted({name for file in self.files.values() for name in _with_companion(file)})

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of every file of the weights, by file name, as it is now.

        Raises:
            ModelError: a file cannot be read.
        """
        return {file.name: _sha256(file) for file in self.all_files()}

    def verify(self, engine: str = "onnxruntime") -> None:
        """Compare the weights of an engine with the checksums in the card, if it has any.

        Raises:
            ModelError: the weights are different or truncated.
        """
        for file in _with_companion(self.weights(engine)):
            wanted = self.sha256.get(file.name)
            if wanted is not None and _sha256(file) != wanted:
                raise ModelError(
                    f"{quoted(file)}: damaged; its checksum differs from that in its card; download both files again"
                )

    def write(self, path: Path) -> None:
        """Write the card with checksums of its weights, which must be in the same folder."""
        values = {
            "name": self.name,
            "weights": {engine: file.name for engine, file in self.files.items()},
            "sha256": self.checksums(),
            "label_set": self.label_set.to_dict(),
            "preprocessing": asdict(self.preprocessing),
            "min_person_confidence": self.min_person_confidence,
            "about": self.about,
        }
        write_text(path, json.dumps(values, indent=2) + "\n")


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"min_person_confidence: expected a number from 0 to 1, got {value!r}")
    return float(value)


def _beside(card: Path, name: Any) -> Path:
    """The file that a card names, which must be beside it."""
    if not isinstance(name, str) or Path(name).name != name:
        raise ModelError(f"{quoted(card)}: its weights must be beside it; expected a file name, got {name!r}")
    return card.parent / name


def _with_companion(weights: Path) -> list[Path]:
    """OpenVINO's .xml with its .bin, or another file alone."""
    return [weights, weights.with_suffix(".bin")] if weights.suffix == ".xml" else [weights]


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(of_file(error, file)) from None


def read_about(path: Path) -> dict[str, Any]:
    """Read the notes of a card from a JSON file.

    Raises:
        ModelError: the file cannot be read, is not a JSON object, or has another type where an object is expected.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ModelError(f"{of_file(error, path)}; expected a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{quoted(path)}: not JSON ({error})") from None
    try:
        return _notes(about)
    except ValueError as error:
        raise ModelError(f"{quoted(path)}: {error}") from None


def _notes(about: Any) -> dict[str, Any]:
    """The notes of a card.

    Raises:
        ValueError: something is not an object or a number where readers of cards expect one.
    """
    if not isinstance(about, dict):
        raise ValueError(f"expected a JSON object, {{…}}, got {type(about).__name__}")
    for key in ("data", "teachers", "measured"):
        if not isinstance(about.get(key, {}), dict):
            raise ValueError(f"{key}: expected a JSON object, {{…}}, got {type(about[key]).__name__}")
    for data, numbers in about.get("measured", {}).items():
        plain = isinstance(numbers, dict) and all(
            value is None or isinstance(value, int | float) for name, value in numbers.items() if name != "iou"
        )
        if not plain:
            raise ValueError(f'measured: {data}: expected named numbers, such as {{"mean_iou": 0.5}}')
    return about


def find_card(model: str | Path) -> ModelCard:
    """The card of a model on this computer: bundled, an .onnx or .json file, or a folder with one model.
    :func:`ssnan.hub.download.card_of` knows the hub too.

    Raises:
        ModelError: there is no such model.
    """
    bundled = {path.stem: path for path in _bundled()}
    if str(model) in bundled:
        return ModelCard.read(bundled[str(model)])
    path = Path(model)
    if path.suffix in (".json", ".onnx"):
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises if the name is too long
            raise ModelError(f"{quoted(path)}: no such file")
        return ModelCard.read(path.with_suffix(".json"))
    if str(model) and path.is_dir():  # an empty name would be the working directory
        weights = sorted(path.glob("*.onnx"))
        if not weights and (path / "config.json").is_file():
            raise ModelError(
                f"{quoted(path)}: is the network of a checkpoint, which PretrainedNetwork.from_pretrained reads; for a "
                "model, publish the .onnx file that 'ssnan export' writes"
            )
        if len(weights) != 1:
            raise ModelError(
                f"{quoted(path)}: expected a folder with one .onnx file and its card, found {len(weights)}"
            )
        return ModelCard.read(weights[0].with_suffix(".json"))
    raise ModelError(
        f"model {str(model)!r}: expected one of {', '.join(bundled) or '(none bundled)'}, an .onnx file with its "
        ".json card beside it, a folder with both, a .ckpt checkpoint, or owner/name on the Hugging Face hub"
    )


def bundled_cards() -> list[ModelCard]:
    """The cards of all bundled models."""
    return [ModelCard.read(path) for path in _bundled()]


def _bundled() -> list[Path]:
    return sorted(Path(str(resources.files("ssnan") / "weights")).glob("*.json"))
