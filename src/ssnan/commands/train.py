"""Train a system: ssnan train --config NAME or FILE.yaml. NAME is a recipe of ssnan, such as lip/ss_nan; 'ssnan models'
lists them. 'base: NAME' in a file names the recipe that it extends."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ssnan.commands.options import FAILED, MISUSED, Stopped, complain
from ssnan.errors import cause, lacks, quoted

HELP = "train a system: ssnan train --config lip/ss_nan"


def add_options(parser: argparse.ArgumentParser) -> None:
    """None here: Lightning has the options of training, and importing it takes seconds."""


def _continuing(arguments: Sequence[str]) -> str:
    """What a user does after an interruption; with ``--resume false``, the same command starts again."""
    resume = any(word.partition("=")[0] == "--resume" for word in arguments)
    return f"run the same command {'without --resume ' if resume else ''}to continue after the last saved epoch"


def run(options: argparse.Namespace) -> int:
    try:
        from ssnan.training.cli import OptionError, train
    except ModuleNotFoundError as error:
        message = lacks("training", error, "train")
        if {"-h", "--help"} & set(options.arguments):
            print(f"{__doc__}\n\n{message[0].upper()}{message[1:]} to see all options.")
            return 0
        return complain(message, FAILED)
    try:
        if (best := train(options.arguments)) is not None:
            print(f"best checkpoint: {best}")
    except Stopped:
        complain(f"stopped; {_continuing(options.arguments)}", FAILED)
        raise
    except OptionError as error:
        return complain(str(error), MISUSED)
    except ValueError as error:
        # An error in a data loading process includes a traceback; its last line is the message.
        message = str(error).rstrip()
        return complain(message.rsplit("Error: ", 1)[-1] if "Traceback" in message else message, FAILED)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        return complain("not enough memory on the GPU; lower data.batch_size, data.crop or data.resident_side", FAILED)
    except OSError as error:  # usually a full disk
        where = quoted(error.filename) if error.filename else "the run's folder"
        return complain(f"{where}: {cause(error)}; {_continuing(options.arguments)}", FAILED)
    return 0
