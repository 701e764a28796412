"""Print a shell script that completes ssnan's commands and options: eval "$(ssnan completion bash)"."""

from __future__ import annotations

import argparse

HELP = "print a shell completion script"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def run(options: argparse.Namespace) -> int:
    import shtab

    from ssnan.commands import parsers

    print(shtab.complete(parsers()[0], shell=options.shell))
    return 0
