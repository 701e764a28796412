"""Parse photos and videos. For every photo, ssnan writes OUT/<name>.png: an 8-bit palette PNG of the photo's size with
one label id per pixel, in the colours of the label set. '-' reads a photo from standard input; '-o -' writes one result
to standard output."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ssnan.commands.options import (
    EMPTY,
    FAILED,
    MISUSED,
    Stopped,
    add_model_options,
    add_result_options,
    complain,
    folder,
    load_parser,
    problem_with_parts,
    show,
)
from ssnan.errors import lacks, of_file, printable, quoted

if TYPE_CHECKING:
    from rich.console import Console

    from ssnan.parsing.batch import Saving
    from ssnan.parsing.parser import Parser

STANDARD_OUTPUT = Path("-")
"""The output that means standard output."""

HELP = "parse photos and videos into label maps"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="photos, videos, folders, patterns like '*.jpg', or -"
    )
    parser.add_argument(
        "-o", "--output", type=_folder, default=Path("parsed"), help="output folder, or - for standard output (parsed)"
    )
    add_result_options(parser)
    parser.add_argument("--largest", action="store_true", help="keep only the largest person")
    parser.add_argument(
        "--people", action="append_const", const="people", dest="save", help="as --save people: who is at every pixel"
    )
    parser.add_argument("--skip-existing", action="store_true", help="skip photos that already have a map")
    for flag in ("--workers", "--ray", "--into", "--column", "--shard", "--patience"):
        parser.add_argument(flag, action=_OfCatalog, nargs="?", help=argparse.SUPPRESS)
    add_model_options(parser)


def _folder(text: str) -> Path:
    """A local folder, or -."""
    path = folder(text)
    return path.absolute() if path == STANDARD_OUTPUT and text != "-" else path  # ./- is a folder


class _OfCatalog(argparse.Action):
    """An option of ``ssnan catalog``, which people look for here too."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        parser.exit(MISUSED, f"ssnan: {self.option_strings[0]} is an option of another command: ssnan catalog INPUT\n")


def run(options: argparse.Namespace) -> int:
    from ssnan.parsing.batch import Saving
    from ssnan.parsing.card import ModelError
    from ssnan.parsing.inputs import STANDARD_INPUT, find_inputs, is_video, without_files
    from ssnan.results.remapping import RemapError

    to_standard_output = options.output == STANDARD_OUTPUT
    if "" in options.inputs:
        return complain(f"'' is not a file; {EMPTY}", MISUSED)
    inputs = find_inputs(options.inputs, options.recursive)
    empty = without_files(options.inputs, options.recursive)
    if not inputs:
        return complain(f"no photo in {' '.join(map(quoted, empty))}{_hint(options)}", MISUSED)
    videos = {path: name for path, name in inputs.items() if is_video(path)}
    several = len(options.save) > 1 or {"masks", "people"} & {*options.save}
    if to_standard_output and (len(inputs) + len(empty) > 1 or videos or several):
        return complain("-o - writes one file of one photo: its map, or the one that --save names", MISUSED)
    is_there = not to_standard_output and os.path.exists(options.output)  # noqa: PTH110 - it accepts any name
    if is_there and not options.output.is_dir():
        return complain(f"{quoted(options.output)}: is a file; expected a folder for the results", MISUSED)
    try:
        parser = load_parser(options, options.labels, options.colors, options.largest)
    except (ModelError, RemapError) as error:
        return complain(str(error), MISUSED)
    if problem := problem_with_parts(options, parser.result_labels.classes):
        return complain(problem, MISUSED)
    if STANDARD_INPUT in inputs and sys.stdin is None:
        return complain("standard input is closed; expected a photo", FAILED)
    contents = {STANDARD_INPUT: sys.stdin.buffer.read()} if STANDARD_INPUT in inputs else {}
    saving = Saving(options.output, tuple(options.save), tuple(options.parts), options.skip_existing)
    if to_standard_output:
        return _write_to_standard_output(parser, next(iter(inputs)), contents, saving)
    photos = {path: name for path, name in inputs.items() if path not in videos}
    return _parse_all(parser, photos, videos, contents, saving, options, empty)


def _parse_all(
    parser: Parser,
    photos: dict[Path, Path],
    videos: dict[Path, Path],
    contents: dict[Path, bytes],
    saving: Saving,
    options: argparse.Namespace,
    empty: Sequence[str],
) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from ssnan.parsing.batch import parse_files
    from ssnan.parsing.video import RESULTS, video_of

    console = Console(stderr=True)
    several = len(photos) + len(videos) > 1
    problems: list[str] = []

    def note(problem: str) -> None:
        problems.append(problem)
        show(console, problem)

    for given in empty:
        note(f"no photo in {quoted(given)}")
    done = skipped = 0
    taken: dict[Path, Path] = {}
    try:
        # Closing waits for the steps that run ahead.
        with (
            Progress(console=console, disable=len(photos) < 2) as progress,
            closing(parse_files(parser, photos, saving, contents)) as outcomes,
        ):
            for outcome in progress.track(outcomes, len(photos), description="parsing"):
                skipped += outcome.skipped
                done += not outcome.skipped and outcome.problem is None
                if outcome.problem is not None:
                    note(outcome.problem + _word_of_a_list(outcome.path, parser))
        sources = {os.path.realpath(path): path for path in videos}
        for path, name in videos.items():
            places = {os.path.realpath(saving.folder / f"{name}{ending}") for ending in RESULTS}
            if places & sources.keys():
                clash = quoted(sources[min(places & sources.keys())])
                note(f"{quoted(path)}: its result would overwrite the video {clash}; choose another folder")
            elif taken.setdefault(name, path) != path:
                clash = quoted(taken[name])
                note(f"{quoted(path)}: its result would overwrite that of {clash}; parse it into another folder")
            elif saving.skip_existing and video_of(saving.folder / f"{name}.labels.mkv") == printable(path.name):
                skipped += 1
            else:
                problem = _parse_video(parser, path, saving.folder / name, saving.kinds, console)
                if problem is None:
                    done += 1
                else:
                    note(problem)
    except Stopped:
        show(
            console,
            f"stopped; {done} parsed into {quoted(saving.folder)}; run it again with --skip-existing to continue",
        )
        raise
    if problems and several:
        console.print(f"{len(problems)} not parsed:", style="red", highlight=False)
        for problem in problems:
            show(console, problem)
    hint = _hint(options)
    if hint:
        console.print(f"ssnan: {printable(hint.removeprefix('; '))}", markup=False, highlight=False, soft_wrap=True)
    if done or skipped:
        print(f"{done} parsed into {quoted(saving.folder)}" + (f", {skipped} skipped" if skipped else ""))
    return FAILED if problems else 0


def _parse_video(parser: Parser, path: Path, output: Path, kinds: Sequence[str], console: Console) -> str | None:
    """Parse a video with a progress bar in frames per second; returns the problem if there is one."""
    from rich.progress import BarColumn, Progress, TextColumn

    from ssnan.io.opening import ImageError
    from ssnan.parsing.video import parse_video
    from ssnan.results.outputs import OF_VIDEOS

    foreign = [kind for kind in kinds if kind not in OF_VIDEOS]
    if foreign:
        return f"{quoted(path)}: videos have no {' or '.join(foreign)}, only {', '.join(OF_VIDEOS)}"
    count = TextColumn("{task.completed:.0f} frames, {task.fields[rate]:.1f} per second")
    try:
        with Progress(TextColumn("{task.description}", markup=False), BarColumn(), count, console=console) as progress:
            bar, started = progress.add_task(printable(path.name), total=None, rate=0.0), time.perf_counter()
            for done, total in parse_video(parser, path, output, kinds):
                progress.update(bar, completed=done, total=total, rate=done / (time.perf_counter() - started))
    except ImageError as error:
        return str(error)
    except OSError as error:
        return of_file(error, path)
    except MemoryError:
        return f"{quoted(path)}: not enough memory for frames of this size"
    except ModuleNotFoundError as error:
        return f"{quoted(path)}: {lacks('a video', error, 'video')}"
    return None


def _write_to_standard_output(parser: Parser, path: Path, contents: dict[Path, bytes], saving: Saving) -> int:
    from ssnan.io.opening import ImageError
    from ssnan.results.outputs import files

    if sys.stdout is None:
        return complain("standard output is closed; redirect it to a file or another program", FAILED)
    if sys.stdout.isatty() and saving.kinds != ("json",):
        return complain("-o - would write an image to the terminal; redirect it to a file or another program", MISUSED)
    try:
        result = parser(contents.get(path, path))
        made = files(result, path.name, saving.kinds, saving.parts)
    except ImageError as error:
        return complain(str(error).replace("image bytes", "standard input"), FAILED)
    if saving.kinds and len(made) == 1:
        return complain(f"{quoted(path)}: nothing to crop, no {' or '.join(saving.parts) or 'person'} in it", FAILED)
    sys.stdout.buffer.write(next(iter(made.values()))())
    return 0


def _hint(options: argparse.Namespace) -> str:
    """A hint at photos in subfolders."""
    from ssnan.parsing.inputs import inputs_below

    if options.recursive:
        return ""
    deeper = [
        given
        for given in options.inputs
        if os.path.isdir(given) and inputs_below(Path(given))  # noqa: PTH112 - it accepts any name
    ]
    return (
        f"; subfolders of {', '.join(map(quoted, deeper))} contain photos; --recursive includes them" if deeper else ""
    )


def _word_of_a_list(path: Path, parser: Parser) -> str:
    """A hint for lists with blanks instead of commas."""
    from ssnan.results.outputs import KINDS

    if not os.path.lexists(path):
        for flag, known in (("--save", KINDS), ("--parts", parser.result_labels.classes)):
            if str(path) in known:
                return f"; separate several values of {flag} by commas"
    return ""
