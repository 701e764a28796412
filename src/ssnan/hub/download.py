"""Find a model by what a user calls it; download ``owner/name`` or ``owner/name@revision`` to the hub's cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssnan.errors import cause, lacks, quoted
from ssnan.parsing.card import ModelCard, ModelError, find_card

ENGINES_FILES = ("*.json", "*.onnx", "*.xml", "*.bin")
"""Files of engines and the card."""

ELSEWHERE = ("*/*", "pytorch_model*")
"""Other files in a repository, which are not needed."""

SECONDS = 5.0
"""Without a response for this long, the hub counts as unreachable."""


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Within the block, the hub's client uses only its cache if the hub is unreachable. By itself it would retry for
    half a minute."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    try:
        constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _reachable(address: str) -> bool:
    import urllib.error  # imported here because parsing needs neither and starts faster
    import urllib.request

    try:
        with urllib.request.urlopen(address, timeout=SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # the server answered
    except OSError:
        return False


def is_hub_name(model: str | Path) -> bool:
    """Whether ``model`` looks like a name on the hub and is not a local file."""
    text = str(model)
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", text)) and not (
        Path(text).exists() or Path(text).suffix in (".onnx", ".json", ".ckpt", ".safetensors")
    )


def download(name: str, patterns: tuple[str, ...] = ENGINES_FILES) -> Path:
    """Download a model from the hub and return its folder. Unchanged files come from the cache, and so do all files if
    there is no network.

    Args:
        name: ``owner/name``, or ``owner/name@revision``.
        patterns: patterns of the files to download.

    Raises:
        ModelError: the hub's client is not installed, there is no such model, or it cannot be reached.
    """
    try:
        from huggingface_hub import constants, snapshot_download
    except ModuleNotFoundError as error:
        raise ModelError(
            lacks(f"model {quoted(name)}: no such file or folder; a model on the hub", error, "hub")
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
    except Exception as error:  # from the hub's client, HTTP or sockets
        raise ModelError(
            f"model {quoted(name)}: no such file or folder, and the hub does not provide it ({cause(error)})"
        ) from None


def card_of(model: str | Path) -> ModelCard | None:
    """The card of a model: bundled, in a file or a folder, or on the hub. None for a checkpoint, which has no card.

    Raises:
        ModelError: there is no such model, or it cannot be downloaded.
    """
    if Path(model).suffix == ".ckpt":
        return None
    return find_card(download(str(model)) if is_hub_name(model) else model)
