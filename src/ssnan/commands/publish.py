"""Write a model as a folder for the Hugging Face hub, with a README made from its card. --to uploads these
files, and no others of the folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ssnan.commands.options import FAILED, MISUSED, MODELS, complain, folder

HELP = "write a model as a folder for the Hugging Face hub"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODELS)
    parser.add_argument("-o", "--output", type=folder, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--to", metavar="OWNER/NAME", help="upload these files to this name")
    parser.add_argument("--about", type=Path, metavar="FILE.json", help="notes for the card of a checkpoint")


def run(options: argparse.Namespace) -> int:
    from ssnan.errors import lacks, of_file, quoted
    from ssnan.hub.download import card_of
    from ssnan.parsing.card import ModelError, read_about

    about: dict[str, Any] = {}
    if options.about is not None:
        try:
            about = read_about(options.about)
        except ModelError as error:
            return complain(f"--about {error}", MISUSED)
    card = card_of(options.model)
    if card is not None and options.about is not None:
        return complain(f"--about is for checkpoints; {quoted(options.model)} has notes in its card", MISUSED)
    try:
        if card is None:
            files = _checkpoint(options, about)
        else:
            from ssnan.hub.folder import save_pretrained

            files = save_pretrained(card, options.output, options.to)
        print(f"wrote {quoted(options.output)}")
        if options.to is not None:
            from ssnan.hub.folder import push

            print(f"uploaded to {push(options.output, files, options.to)}")
    except OSError as error:
        return complain(of_file(error, options.output), FAILED)
    except ModuleNotFoundError as error:
        return complain(lacks("publish", error, "train" if card is None else "hub"), FAILED)
    return 0


def _checkpoint(options: argparse.Namespace, about: dict[str, Any]) -> list[str]:
    """Write the network of a checkpoint; returns the names of the files, which appear together."""
    from ssnan.hub.folder import README, refuse_if_present
    from ssnan.hub.readme import is_readme
    from ssnan.io.writing import appearing_together, unfinished_folder
    from ssnan.training.checkpoint import read_task
    from ssnan.training.pretrained import CONFIG, WEIGHTS, PretrainedNetwork

    network, name = PretrainedNetwork(read_task(Path(options.model)), about), options.to or options.output.as_posix()
    files = [WEIGHTS, README, CONFIG]
    if not _holds(options.output / CONFIG, network.task.hparams["network"]):
        refuse_if_present(options.output, files)
    elif not is_readme(options.output / README):
        refuse_if_present(options.output, [README])
    # Elsewhere first, because the hub's client removes an earlier config.json and keeps an earlier README.
    with unfinished_folder(options.output) as written, appearing_together() as written_at:
        network.save_pretrained(written, model_card_kwargs={"name": name})
        for file in files:
            (written / file).replace(written_at(options.output / file))
    return files


def _holds(config: Path, network: object) -> bool:
    """Whether a folder's configuration describes the same network."""
    try:
        return bool(json.loads(config.read_bytes())["network"] == json.loads(json.dumps(network)))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
