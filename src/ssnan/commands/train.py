"""Train a system: ssnan train --config NAME or FILE.yaml. A name is one of the recipes that come with
ssnan, such as lip/ss_nan; 'ssnan models' lists them. 'base: NAME' in a file says what it builds on."""

from __future__ import annotations

import argparse

from ssnan.commands.options import FAILED, Stopped, complain
from ssnan.errors import cause, lacks, quoted

HELP = "train a system: ssnan train --config lip/ss_nan"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs="*", metavar="...", help="see ssnan train --help")


def run(options: argparse.Namespace) -> int:
    try:
        from ssnan.training.cli import train
    except ModuleNotFoundError as error:
        message = lacks("training", error, "train")
        if {"-h", "--help"} & set(options.arguments):
            print(f"{__doc__}\n\nHere {message}, and this shows every option.")
            return 0
        return complain(message, FAILED)
    try:
        print(f"best checkpoint: {train(options.arguments)}")
    except Stopped:
        complain("stopped; the same command goes on from the last epoch that was saved", FAILED)
        raise
    except ValueError as error:
        # What a process that reads data raised comes with its traceback; its last line is the message.
        message = str(error).rstrip()
        return complain(message.rsplit("Error: ", 1)[-1] if "Traceback" in message else message, FAILED)
    except OSError as error:  # a full disk, most often
        where = quoted(error.filename) if error.filename else "the run's folder"
        return complain(f"{where}: {cause(error)}; the same command goes on from the last epoch", FAILED)
    return 0
