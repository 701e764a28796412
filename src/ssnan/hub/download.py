"""From a name, ``owner/name`` or ``owner/name@revision``, to a folder in the hub's cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssnan.errors import cause, lacks, quoted
from ssnan.parsing.card import ModelCard, ModelError, find_card

ENGINES_FILES = ("*.json", "*.onnx", "*.xml", "*.bin")
"""What engines run, and the card beside it."""

ELSEWHERE = ("*/*", "pytorch_model*")
"""What may lie there too and is of no use."""

SECONDS = 5.0
"""Without an answer for so long there is no network."""


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Within the block the hub's client, which would try for half a minute, keeps to its cache if one look
    tells that the hub cannot be reached."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    try:
        constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _reachable(address: str) -> bool:
    import urllib.error  # parsing needs neither, and starts sooner without
    import urllib.request

    try:
        with urllib.request.urlopen(address, timeout=SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # somebody answered
    except OSError:
        return False


def is_hub_name(model: str | Path) -> bool:
    """Whether ``model`` reads like a name on the hub and is nothing that lies here."""
    text = str(model)
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", text)) and not (
        Path(text).exists() or Path(text).suffix in (".onnx", ".json", ".ckpt", ".safetensors")
    )


def download(name: str, patterns: tuple[str, ...] = ENGINES_FILES) -> Path:
    """The folder of a model on the hub; what is cached and unchanged is not fetched again, and without a network
    what is cached is taken.

    Args:
        name: ``owner/name``, or ``owner/name@revision``.
        patterns: of the files that are wanted.

    Raises:
        ModelError: the hub's client is not installed, there is no such model, or it cannot be reached.
    """
    try:
        from huggingface_hub import constants, snapshot_download
    except ModuleNotFoundError as error:
        raise ModelError(
            lacks(f"model {quoted(name)}: no file or folder here; as a name on the hub it", error, "hub")
        ) from None
    repository, _, revision = name.partition("@")
    try:
        with offline_if_unreachable():
            folder = snapshot_download(
                repository,
                revision=revision or None,
                endpoint=constants.ENDPOINT,
                allow_patterns=list(patterns),
                ignore_patterns=list(ELSEWHERE),
            )
        return Path(folder)
    except Exception as error:  # of the hub's client, of HTTP, of the sockets below it
        raise ModelError(
            f"model {quoted(name)}: no file or folder here, and not to be had from the hub ({cause(error)})"
        ) from None


def card_of(model: str | Path) -> ModelCard:
    """The card of a model that engines run, wherever it is: bundled, in a file or a folder, or on the hub.

    Raises:
        ModelError: there is no such model, or it cannot be downloaded.
    """
    return find_card(download(str(model)) if is_hub_name(model) else model)
