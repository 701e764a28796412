"""Parse a catalog: many photos on several processes or machines. OUT/results/ has a table with one row per photo. The
same command continues an interrupted run and parses only new photos. See docs/scale.md."""

from __future__ import annotations

import argparse
import hashlib
import json
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
    positive,
    print_log,
    problem_with_parts,
    show,
)
from ssnan.errors import lacks, of_file, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssnan.cluster.catalog import Catalog, Into, Shard
    from ssnan.cluster.isolation import ParseOptions
    from ssnan.results.remapping import Remapping

HELP = "parse a large collection of photos, on one machine or a cluster"

SHOWN = 20
"""Problems that are printed; the tables have all of failed and quarantined photos."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="photos, folders, patterns, .txt lists, tables, tars; local or in a bucket such as s3://shop/photos",
    )
    parser.add_argument("-o", "--output", default="catalog", help="output folder, local or in a bucket (catalog)")
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="parse with N processes (1), or N actors with --ray (as many as fit)",
    )
    parser.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS",
        help="parse on a Ray cluster: HOST:PORT or ray://HOST:PORT; by default, the local cluster or a new one",
    )  # fmt: skip
    parser.add_argument(
        "--into", choices=("files", "parquet", "webdataset"), default="files",
        help="write maps as files, in the tables of results, or in one tar per shard (files)",
    )  # fmt: skip
    parser.add_argument("--column", metavar="NAME", help="column with paths, addresses or image bytes, for tables")
    parser.add_argument("--shard", type=positive, default=256, metavar="N", help="photos per shard (256)")
    parser.add_argument(
        "--patience", type=positive, default=120, metavar="S",
        help="seconds without a result before a photo is tried alone, and then quarantined (120)",
    )  # fmt: skip
    add_result_options(parser)
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    if options.output == "-" or "-" in options.inputs:
        return complain("ssnan catalog does not support standard input and output; expected folders, got -", MISUSED)
    if not options.output:
        return complain(f"-o: expected a folder, got ''; {EMPTY}", MISUSED)
    if "" in options.inputs:
        return complain(f"'' is not a file; {EMPTY}", MISUSED)
    into: Into = options.into
    try:
        import pyarrow  # noqa: F401

        if options.ray is not None:
            import ray  # noqa: F401
        from ssnan.cluster.catalog import Catalog, CatalogError, shards
        from ssnan.cluster.items import ItemsError, find_items, named_apart
    except ModuleNotFoundError as error:
        return complain(lacks("a catalog", error, "cluster"), MISUSED)
    from ssnan.parsing.card import ModelError
    from ssnan.results.remapping import RemapError

    if options.ray and "/" not in options.ray and ":" not in options.ray:
        return complain(f"--ray {options.ray}: expected HOST:PORT or ray://HOST:PORT; put inputs before --ray", MISUSED)
    if into == "parquet" and options.save:
        return complain("--into parquet writes only maps; use --save with --into files or webdataset", MISUSED)
    if Path(options.output).is_file():
        return complain(f"{quoted(options.output)}: is a file; expected a folder for the catalog", MISUSED)
    if options.verbose:
        print_log()
    how = _parse_options(options)
    try:
        # Report mistakes here rather than in every worker.
        parser = how.parser()
        if problem := problem_with_parts(options, parser.result_labels.classes):
            return complain(problem, MISUSED)
        settings = _settings(options, parser.remapping)
        items = find_items(options.inputs, options.recursive, options.column)
        catalog = Catalog(options.output, into, settings)
        with catalog.opened():
            done = catalog.done()
            named = named_apart(items, done, dots=into != "webdataset")
            missing = [item for item in named if item.key not in done]
            catalog.sweep(missing)
            return _parse(options, catalog, how, shards(missing, options.shard), len(items) - len(missing))
    except (ModelError, RemapError, ItemsError, CatalogError) as error:
        return complain(str(error), MISUSED)
    except OSError as error:
        return complain(of_file(error, options.output), FAILED)


def _parse(
    options: argparse.Namespace, catalog: Catalog, how: ParseOptions, todo: Sequence[Shard], already: int
) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from ssnan.cluster.workers import in_processes, on_ray

    console, shown = Console(stderr=True), 0
    counts = {"parsed": 0, "failed": 0, "quarantined": 0, "unfinished": 0}
    if options.ray is None:
        written = in_processes(todo, how, catalog, options.workers or 1, float(options.patience))
    else:
        written = on_ray(todo, how, catalog, options.workers, float(options.patience), options.ray)
    try:
        with Progress(console=console) as progress, closing(written):
            bar = progress.add_task("parsing", total=sum(len(shard.items) for shard in todo))
            for shard in written:
                catalog.take(shard)
                progress.advance(bar, sum(shard.counts.values()))
                for status, count in shard.counts.items():
                    counts[status] += count
                for key, reason in shard.problems:
                    shown += 1
                    if shown <= SHOWN:
                        show(console, f"{quoted(key)}: {reason}")
    except (Stopped, OSError):
        show(console, f"stopped; run the same command to continue {quoted(catalog.root)}")
        raise
    if shown > SHOWN:
        show(console, f"{shown - SHOWN} more problems; the tables have those of failed and quarantined photos")
    if counts["unfinished"]:
        show(console, "run the same command again for the unfinished photos")
    told = [f"{counts['parsed']} parsed into {quoted(catalog.root)}"]
    told += [f"{count} {status}" for status, count in counts.items() if count and status != "parsed"]
    told += [f"{already} already there"] if already else []
    print(", ".join(told))
    return FAILED if shown else 0


def _parse_options(options: argparse.Namespace) -> ParseOptions:
    from ssnan.cluster.isolation import ParseOptions
    from ssnan.parsing.engines import available_cores
    from ssnan.parsing.views import Views

    alone = max(1, available_cores() // (options.workers or 1)) if options.ray is None else 1
    return ParseOptions(
        options.model,
        options.engine,
        options.threads or alone,
        Views(tuple(options.scales), options.mirror),
        options.max_megapixels * 1_000_000,
        options.labels,
        options.colors,
        tuple(options.save),
        tuple(options.parts),
    )


def _settings(options: argparse.Namespace, remapping: Remapping | None) -> dict[str, object]:
    """The settings that all results of a folder share."""
    from ssnan.hub.download import card_of
    from ssnan.results.remapping import TARGETS

    card = card_of(options.model)
    if card is None:
        content = Path(options.model).read_bytes()
    else:
        content = "".join(map("".join, sorted(card.checksums().items()))).encode()
    names = ("model", "labels", "colors", "scales", "mirror", "save", "parts")
    settings = {"checksum": hashlib.sha256(content).hexdigest(), **{name: getattr(options, name) for name in names}}
    if remapping is not None and options.labels not in TARGETS:  # a YAML, which may change between two runs
        classes = json.dumps([remapping.target.to_dict(), remapping.homes], sort_keys=True)
        settings["labels_checksum"] = hashlib.sha256(classes.encode()).hexdigest()
    return settings
