"""Write OUT/<name>.png for every photograph: an 8-bit palette PNG of the photo's size whose indices are
label ids and whose colours are the label set's. '-' reads a photo from standard input; '-o -' writes one
result to standard output."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ssnan.commands import catalogs
from ssnan.commands.options import (
    FAILED,
    MISUSED,
    Stopped,
    add_model_options,
    complain,
    load_parser,
    names,
    names_of,
    unknown_part,
)
from ssnan.errors import printable, quoted

if TYPE_CHECKING:
    from rich.console import Console

    from ssnan.parsing.batch import Saving
    from ssnan.parsing.parser import Parser

HELP = "parse photographs into maps of parts"


def add_options(parser: argparse.ArgumentParser) -> None:
    from ssnan.parsing.outputs import KINDS

    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="photos, films, folders of them, patterns like '*.jpg', or -"
    )
    parser.add_argument(
        "-o", "--output", type=_folder, default=Path("parsed"), help="folder of the results, or - (parsed)"
    )
    kinds = "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())
    parser.add_argument(
        "--save",
        type=names_of(list(KINDS)),
        action="extend",
        default=[],
        metavar="KIND,KIND",
        help=f"save more than the map. {kinds}",
    )
    parser.add_argument(
        "--parts",
        type=names,
        action="extend",
        default=[],
        metavar="PART,PART",
        help="parts of masks, cutout and crop, such as upper-clothes,left-arm (the whole person)",
    )
    parser.add_argument(
        "--labels", metavar="NAME", help="say it in other labels: atr, pascal_person_part, merged, or a .yaml file"
    )
    parser.add_argument(
        "--colors", choices=("labels", "distinct"), default="labels",
        help="the labels' own, or ones that stay apart on dark clothes and for colour-blind eyes (labels)",
    )  # fmt: skip
    parser.add_argument(
        "--largest", action="store_true", help="keep the main figure alone: the largest piece of people"
    )
    parser.add_argument("--recursive", action="store_true", help="look into folders of folders")
    parser.add_argument("--skip-existing", action="store_true", help="leave out photos that have a map already")
    catalogs.add_options(parser)
    add_model_options(parser)


def _folder(text: str) -> Path | str:
    """A folder, or the address of one elsewhere."""
    return text if "://" in text else Path(text)


def run(options: argparse.Namespace) -> int:
    from ssnan.parsing.batch import Saving
    from ssnan.parsing.card import ModelError
    from ssnan.parsing.inputs import STANDARD_INPUT, find_inputs, is_film
    from ssnan.parsing.remapping import RemapError

    if catalogs.asked_for(options):
        if options.largest:
            return complain("--largest is not for catalogues; leave out --workers and --ray", MISUSED)
        return catalogs.run(options)
    if options.into is not None or options.column is not None:
        return complain("--into and --column are for catalogues; say --workers N or --ray too", MISUSED)
    if isinstance(options.output, str):
        return complain(f"{quoted(options.output)}: results go elsewhere with --workers or --ray only", MISUSED)
    to_standard_output = options.output == Path("-")
    if "" in options.inputs:
        return complain("'' is no file; is there an empty variable on the command line?", MISUSED)
    inputs = find_inputs(options.inputs, options.recursive)
    if not inputs:
        return complain(f"no picture in {' '.join(map(quoted, options.inputs))}{_hint(options)}", MISUSED)
    films = {path: name for path, name in inputs.items() if is_film(path)}
    if os.path.exists(options.output) and not options.output.is_dir():  # noqa: PTH110 - any name may be asked
        return complain(f"{quoted(options.output)}: is a file, expected a folder for the results", MISUSED)
    if to_standard_output and (len(inputs) > 1 or films or len(options.save) > 1 or "masks" in options.save):
        return complain("-o - writes one thing of one photo: its map, or what a single --save names", MISUSED)
    try:
        parser = load_parser(options, options.labels, options.colors, options.largest)
    except (ModelError, RemapError) as error:
        return complain(str(error), MISUSED)
    if unknown := unknown_part(options.parts, parser):
        return complain(unknown, MISUSED)
    if STANDARD_INPUT in inputs and sys.stdin is None:
        return complain("standard input is closed; expected a photo there", FAILED)
    contents = {STANDARD_INPUT: sys.stdin.buffer.read()} if STANDARD_INPUT in inputs else {}
    saving = Saving(options.output, tuple(options.save), tuple(options.parts), options.skip_existing)
    if to_standard_output:
        return _write_to_standard_output(parser, next(iter(inputs)), contents, saving)
    photos = {path: name for path, name in inputs.items() if path not in films}
    return _parse_all(parser, photos, films, contents, saving, options)


def _parse_all(
    parser: Parser,
    photos: dict[Path, Path],
    films: dict[Path, Path],
    contents: dict[Path, bytes],
    saving: Saving,
    options: argparse.Namespace,
) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from ssnan.parsing.batch import parse_files
    from ssnan.parsing.video import RESULTS

    console = Console(stderr=True)
    several = len(photos) + len(films) > 1
    problems: list[str] = []

    def show(problem: str) -> None:
        console.print(f"ssnan: {printable(problem)}", style="red", markup=False, highlight=False, soft_wrap=True)

    def note(problem: str) -> None:
        problems.append(problem)
        show(problem)

    done = skipped = 0
    taken: dict[Path, Path] = {}
    try:
        # Closed, the steps that run ahead are waited for.
        with (
            Progress(console=console, disable=len(photos) < 2) as progress,
            closing(parse_files(parser, photos, saving, contents)) as outcomes,
        ):
            for outcome in progress.track(outcomes, len(photos), description="parsing"):
                skipped += outcome.skipped
                done += not outcome.skipped and outcome.problem is None
                if outcome.problem is not None:
                    note(outcome.problem + _word_of_a_list(outcome.path, parser))
        sources = {os.path.realpath(path): path for path in films}
        for path, name in films.items():
            places = {os.path.realpath(saving.folder / f"{name}{ending}") for ending in RESULTS}
            if places & sources.keys():
                clash = quoted(sources[min(places & sources.keys())])
                note(f"{quoted(path)}: its result would replace the film {clash}; choose another folder")
            elif taken.setdefault(name, path) != path:
                clash = quoted(taken[name])
                note(f"{quoted(path)}: its result would replace that of {clash}; parse it into another folder")
            elif saving.skip_existing and (saving.folder / f"{name}.labels.mkv").is_file():
                skipped += 1
            else:
                found = list(_parse_film(parser, path, saving.folder / name, saving.kinds, console))
                done += not found
                for problem in found:
                    note(problem)
    except Stopped:
        show(f"stopped; {done} parsed into {quoted(saving.folder)}, the same command with --skip-existing goes on")
        raise
    if problems and several:
        console.print(f"{len(problems)} not parsed:", style="red", highlight=False)
        for problem in problems:
            show(problem)
    hint = _hint(options)
    if hint:
        console.print(f"ssnan: left out{printable(hint)}", markup=False, highlight=False, soft_wrap=True)
    if done or skipped:
        print(f"{done} parsed into {quoted(saving.folder)}" + (f", {skipped} skipped" if skipped else ""))
    return FAILED if problems else 0


def _parse_film(parser: Parser, path: Path, output: Path, kinds: Sequence[str], console: Console) -> Iterator[str]:
    """Parse a film with a progress bar that shows frames a second; what went wrong, if anything."""
    from rich.progress import BarColumn, Progress, TextColumn

    from ssnan.parsing.images import ImageError
    from ssnan.parsing.outputs import OF_FILMS
    from ssnan.parsing.video import parse_video

    foreign = [kind for kind in kinds if kind not in OF_FILMS]
    if foreign:
        yield f"{quoted(path)}: films have no {' or '.join(foreign)}, only {', '.join(OF_FILMS)}"
        return
    count = TextColumn("{task.completed:.0f} frames, {task.fields[rate]:.1f} a second")
    try:
        with Progress(TextColumn("{task.description}", markup=False), BarColumn(), count, console=console) as progress:
            bar, started = progress.add_task(printable(path.name), total=None, rate=0.0), time.perf_counter()
            for done, total in parse_video(parser, path, output, kinds):
                progress.update(bar, completed=done, total=total, rate=done / (time.perf_counter() - started))
    except ImageError as error:
        yield str(error)
    except OSError as error:
        yield f"{quoted(error.filename or path)}: {error.strerror or error}"
    except ModuleNotFoundError as error:
        yield f"{quoted(path)}: films need {error.name}; pip install 'ssnan[video]'"


def _write_to_standard_output(parser: Parser, path: Path, contents: dict[Path, bytes], saving: Saving) -> int:
    from ssnan.parsing.images import ImageError
    from ssnan.parsing.outputs import files

    if sys.stdout is None:
        return complain("standard output is closed; send it to a file or another program", FAILED)
    if sys.stdout.isatty() and saving.kinds != ("json",):
        return complain("-o - would fill the terminal with a picture; send it to a file or another program", MISUSED)
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
    """Folders whose pictures lie deeper than was looked."""
    from ssnan.parsing.inputs import pictures_below

    if options.recursive:
        return ""
    deeper = [
        given
        for given in options.inputs
        if os.path.isdir(given) and pictures_below(Path(given))  # noqa: PTH112 - any name may be asked
    ]
    return (
        f"; there are pictures in folders below {', '.join(map(quoted, deeper))}: --recursive takes them"
        if deeper
        else ""
    )


def _word_of_a_list(path: Path, parser: Parser) -> str:
    """A remedy for those who put blanks between what commas join."""
    from ssnan.parsing.outputs import KINDS

    if not os.path.lexists(path):
        for flag, known in (("--save", KINDS), ("--parts", parser.result_labels.classes)):
            if str(path) in known:
                return f"; several after {flag} are joined by commas"
    return ""
