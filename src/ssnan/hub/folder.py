"""An exported model as a folder that the hub, and :func:`ssnan.load`, take."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssnan.errors import cause, quoted
from ssnan.hub.readme import readme
from ssnan.parsing.card import ModelCard, ModelError
from ssnan.parsing.writing import appearing_together

README = "README.md"

USE = """
import ssnan

result = ssnan.load("{name}")("photo.jpg")
result.mask("{part}")
"""


def save_pretrained(card: ModelCard, folder: Path, name: str | None = None) -> None:
    """Write a model's card, its files and its page into ``folder``.

    Args:
        card: of the model.
        folder: made if it is not there.
        name: what it will be loaded by, such as ``owner/name``; the folder by default.

    Raises:
        ModelError: the folder already holds another model, or cannot be written.
    """
    others = [path.name for path in folder.glob("*.onnx") if path.name != card.weights().name]
    if others:
        raise ModelError(f"{quoted(folder)}: holds {others[0]} already; a folder is for one model")
    use = USE.format(name=name or folder.as_posix(), part=card.label_set.classes[-1])
    try:
        with appearing_together() as written_at:
            for file in card.all_files():
                shutil.copyfile(file, written_at(folder / file.name))
            written_at(folder / README).write_text(readme(name or card.name, card.label_set, card.about, use))
        card.write(folder / card.weights().with_suffix(".json").name)
    except OSError as error:
        raise ModelError(f"{quoted(folder)}: {cause(error)}") from None


def push(folder: Path, name: str) -> str:
    """Upload a folder as the hub's model ``name`` = ``owner/name``, which is made if it is new; returns its address.

    Raises:
        ModelError: the hub does not take it, or cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(name, exist_ok=True)
        return str(api.upload_folder(repo_id=name, folder_path=folder))
    except Exception as error:  # of the hub's client, of HTTP, of the sockets below it
        raise ModelError(
            f"{name}: the hub did not take it ({cause(error)}); 'hf auth login' tells it who you are"
        ) from None
