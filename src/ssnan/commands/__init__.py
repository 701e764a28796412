"""The command line: one file per command, and the table of commands. Heavy imports are inside functions.

Each file defines ``HELP`` (one line for the list), ``add_options`` and ``run``. ``run`` returns the exit status:
0 done, 1 something failed, 2 wrong usage. Further statuses: 130, 143 and 129 after SIGINT, SIGTERM and SIGHUP, 141
after a closed pipe.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ssnan.commands import (
    bench,
    catalog,
    completion,
    convert,
    data,
    evaluate,
    export,
    models,
    parse,
    publish,
    report,
    serve,
    train,
)
from ssnan.commands.options import FAILED, MISUSED, Stopped, complain, stoppable
from ssnan.errors import UserError, cause, did_you_mean, hide_decoder_warnings, quoted

COMMANDS = {
    "parse": parse,
    "catalog": catalog,
    "convert": convert,
    "serve": serve,
    "train": train,
    "evaluate": evaluate,
    "data": data,
    "models": models,
    "bench": bench,
    "report": report,
    "export": export,
    "publish": publish,
    "completion": completion,
}


def parsers() -> tuple[argparse.ArgumentParser, Any]:
    """The whole command line, and the parsers of its commands by name."""
    whole = argparse.ArgumentParser(
        prog="ssnan", description="Human parsing: label hair, face, clothes, left and right limbs at every pixel."
    )
    whole.add_argument("-V", "--version", action="version", version=_version())
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        command.add_options(commands.add_parser(name, help=command.HELP, description=command.__doc__))
    return whole, commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    _keep_closed_streams_closed()
    _print_any_character()
    hide_decoder_warnings()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        return complain(f"no command {given[0]!r}{_meant(given[0])}", MISUSED)
    whole, commands = parsers()
    if not given:
        whole.print_help(sys.stderr)
        return MISUSED
    if given[0] not in COMMANDS:
        whole.parse_args(given)  # --help and --version end here, other flags with an error
    if given[0] == "train":  # Lightning parses its flags
        options = argparse.Namespace(arguments=given[1:])
    else:  # intermixed: photos may come before and after the flags
        options = commands.choices[given[0]].parse_intermixed_args(_after_dashes(given[1:]))
    try:
        with stoppable():
            status: int = COMMANDS[given[0]].run(options)
        if sys.stdout is not None:  # None if it was closed from the start
            sys.stdout.flush()
    except Stopped as stopped:
        return stopped.status
    except UserError as error:
        return complain(str(error), FAILED)
    except BrokenPipeError:  # the reader closed the pipe
        _give_up_standard_output()
        return 128 + 13
    except OSError as error:
        # An error of standard output, such as a full disk, names no file.
        _give_up_standard_output()
        where = quoted(error.filename) if error.filename else "standard output"
        return complain(f"{where}: {cause(error)}", FAILED)
    except MemoryError:
        return complain("not enough memory", FAILED)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        return complain("cannot start a thread: too little memory, or too many processes", FAILED)
    return status


def _after_dashes(words: list[str]) -> list[str]:
    """Words of which those after ``--`` are no flags. argparse of Python 3.11 loses the first of them."""
    if "--" not in words:
        return words
    place = words.index("--")
    names = (f"./{word}" if word.startswith("-") and word != "-" else word for word in words[place + 1 :])
    return [*words[:place], *names]


def _keep_closed_streams_closed() -> None:
    """Open the null device for each standard stream that was closed from the start. Otherwise the next file or
    connection gets its number, and receives what a library writes to the stream."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _print_any_character() -> None:
    """Escape what the encoding of a stream lacks. Otherwise a name or a sign of a table would end a command whose
    output goes to a file in another encoding than UTF-8, as on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_standard_output() -> None:
    """Discard unwritten output, because Python would report it while it exits."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _meant(word: str) -> str:
    """A hint after an unknown command. A photo alone is not parsed: ``ssnan x`` must not depend on which files
    exist."""
    if os.path.exists(word):  # noqa: PTH110 - it accepts any word
        return f"; to parse it: ssnan parse {quoted(word)}"
    return did_you_mean(word, COMMANDS) or "; 'ssnan --help' lists the commands"


def _version() -> str:
    import ssnan

    return f"ssnan {ssnan.__version__}"
