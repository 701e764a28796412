"""An exported model as a folder for the hub and :func:`ssnan.load`."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterable
from pathlib import Path

from ssnan.errors import cause, quoted
from ssnan.hub.readme import is_readme, readme
from ssnan.io.writing import appearing_together
from ssnan.parsing.card import ModelCard, ModelError

README = "README.md"

USE = """
import ssnan

result = ssnan.load("{name}")("photo.jpg")
result.mask("{part}")
"""


def save_pretrained(card: ModelCard, folder: Path, name: str | None = None) -> list[str]:
    """Write a model's card, its files and its README to ``folder``; returns their names.

    Args:
        card: card of the model.
        folder: output folder, created if necessary.
        name: the name to load it by, such as ``owner/name``; the folder if None.

    Raises:
        ModelError: the folder contains another model or other files of these names, or cannot be written.
    """
    others = [path.name for path in folder.glob("*.onnx") if path.name != card.weights().name]
    if others:
        raise ModelError(f"{quoted(folder)}: already contains {others[0]}; use one folder per model")
    place = folder / card.weights().with_suffix(".json").name
    names = [README, place.name, *(file.name for file in card.all_files())]
    if not _is_card_of(card.name, place):
        refuse_if_present(folder, names)
    elif not is_readme(folder / README):  # 'ssnan export' writes the card into any folder
        refuse_if_present(folder, [README])
    use = USE.format(name=name or folder.as_posix(), part=card.label_set.classes[-1])
    try:
        with appearing_together() as written_at:
            for file in card.all_files():
                shutil.copyfile(file, written_at(folder / file.name))
            written_at(folder / README).write_text(
                readme(name or card.name, card.label_set, card.about, use), encoding="utf-8"
            )
            card.write(written_at(place))  # its weights are beside the original card
    except OSError as error:
        raise ModelError(f"{quoted(folder)}: {cause(error)}") from None
    return names


def refuse_if_present(folder: Path, names: Iterable[str]) -> None:
    """Refuse to write a model over files of something else.

    Raises:
        ModelError: the folder has one of the files.
    """
    for name in names:
        if (folder / name).exists():
            raise ModelError(f"{quoted(folder)}: already contains {name} of something else; choose another folder")


def _is_card_of(name: str, place: Path) -> bool:
    try:
        return ModelCard.read(place).name == name
    except ModelError:
        return False


def push(folder: Path, files: Iterable[str], name: str) -> str:
    """Upload files of a folder to the hub as ``name`` = ``owner/name``, created if it is new; returns its address. Only
    these ``files`` are uploaded, because others in the folder may be private.

    Raises:
        ModelError: the hub refuses it or cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(name, exist_ok=True)
        patterns = [glob.escape(file) for file in files]
        return str(api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=patterns))
    except Exception as error:  # of the hub's client, of HTTP, of the sockets below it
        raise ModelError(f"{name}: the hub refused the upload ({cause(error)}); log in with 'hf auth login'") from None
