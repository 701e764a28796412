"""``ssnan bench``: the time of each step, and its growth."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from ssnan.errors import quoted
from ssnan.hub.download import card_of
from ssnan.io.images import read_rgb
from ssnan.io.masks import png
from ssnan.parsing.batch import Saving, parse_files
from ssnan.parsing.card import ModelError
from ssnan.parsing.engines import ENGINES, available_cores
from ssnan.parsing.parser import Parser, Scored
from ssnan.parsing.views import Views

STAGES = ("decode", "prepare", "network", "upsample", "encode")
SIZES = ((320, 480), (640, 960), (1080, 1620), (3000, 4500))
"""Width and height of the photos for measuring growth."""


def measure(model: str, photo: Path, runs: int, threads: int | None) -> dict[str, Any]:
    """Time a model on a photo with every installed engine; returns plain values in seconds.

    Raises:
        ModelError: there is no such model.
        ImageError: the photo cannot be read.
    """
    card = card_of(model)
    if card is None:
        raise ModelError(f"{quoted(model)}: bench times exported models; 'ssnan export' makes one of a checkpoint")
    flops = card.about.get("flops_321")
    width, height = Image.fromarray(read_rgb(photo)).size
    engines: dict[str, Any] = {}
    for name in ENGINES:
        if importlib.util.find_spec(name) is None:
            continue
        parser = Parser.of_card(card, name, threads)
        rows, columns = parser.preprocessing.size(height, width)
        entry: dict[str, Any] = {"stages": time_stages(parser, photo, runs), "network_input": [rows, columns]}
        if flops is not None:
            entry["flop_per_second"] = flops * rows * columns / 321**2 / entry["stages"]["network"]["median"]
        entry["growth"] = growth(parser, photo, runs)
        engines[name] = entry
    return {
        "model": model,
        "photo": [width, height],
        "threads": threads or available_cores(),
        "runs": runs,
        "engines": engines,
        "peak_memory_mb": peak_memory(),
    }


def time_stages(parser: Parser, photo: Path, runs: int) -> dict[str, dict[str, float]]:
    """Seconds of each step from a file to a PNG, after one warm-up run: median and quartiles."""
    laps: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for run in range(runs + 1):
        times = [time.perf_counter()]
        decoded = parser.decode(photo)
        times.append(time.perf_counter())
        pixels = parser.preprocessing(decoded.rgb)[None]
        times.append(time.perf_counter())
        scores = parser.engine(pixels)[0]
        times.append(time.perf_counter())
        result = parser.finish(Scored(scores, decoded.height, decoded.width))
        times.append(time.perf_counter())
        png(result.to_image())
        times.append(time.perf_counter())
        if run:
            for stage, (start, end) in zip(STAGES, pairwise(times), strict=True):
                laps[stage].append(end - start)
    laps["total"] = [sum(lap) for lap in zip(*laps.values(), strict=True)]
    return {stage: spread(seconds) for stage, seconds in laps.items()}


def growth(parser: Parser, photo: Path, runs: int) -> dict[str, dict[str, float]]:
    """Median seconds per photo by photo size, batch size, scales and number of files."""
    rgb = Image.fromarray(read_rgb(photo))
    grown: dict[str, dict[str, float]] = {"photo size": {}, "batch": {}, "scales": {}, "files": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for width, height in SIZES:
            file = folder / f"{width}.jpg"
            rgb.resize((width, height)).save(file, quality=90)
            grown["photo size"][f"{width} × {height}"] = _median(lambda file=file: parser(file), runs)  # type: ignore[misc]
        pixels = parser.preprocessing(np.asarray(rgb))[None]
        for batch in (1, 2, 4):
            stacked = np.repeat(pixels, batch, axis=0)
            grown["batch"][str(batch)] = _median(lambda p=stacked: parser.engine(p), runs) / batch  # type: ignore[misc]
        for scales in ((1.0,), (0.75, 1.0), (0.75, 1.0, 1.25)):
            several = Parser(
                parser.engine, parser.label_set, parser.preprocessing, Views(scales), parser.min_person_confidence
            )
            grown["scales"][", ".join(f"{s:g}" for s in scales)] = _median(lambda p=several: p(photo), runs)  # type: ignore[misc]
        for count in (1, 4, 16):
            inputs = {folder / f"{i}.jpg": Path(str(i)) for i in range(count)}
            for file in inputs:
                rgb.save(file, quality=90)
            run_all = lambda: list(parse_files(parser, inputs, Saving(folder / "out")))  # noqa: B023, E731
            grown["files"][str(count)] = _median(run_all, max(1, runs // 4)) / count
    return grown


def peak_memory() -> float | None:
    """The peak memory of this process in MB; None if the system does not report it."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else (seconds[0],) * 3
    return {"median": middle, "low": low, "high": high}


def tables(report: dict[str, Any]) -> list[Table]:
    """The report as tables, in milliseconds."""
    width, height = report["photo"]
    stages = Table(title=f"{quoted(report['model'])}, a {width} × {height} photo, {report['threads']} threads: ms")
    stages.add_column("step")
    for name in report["engines"]:
        stages.add_column(name, justify="right")
    for stage in (*STAGES, "total"):
        cells = (entry["stages"][stage] for entry in report["engines"].values())
        stages.add_row(stage, *(f"{1e3 * c['median']:.1f} ({1e3 * c['low']:.1f}–{1e3 * c['high']:.1f})" for c in cells))
    if all("flop_per_second" in entry for entry in report["engines"].values()):
        speeds = (entry["flop_per_second"] for entry in report["engines"].values())
        stages.add_row("GFLOP/s", *(f"{speed / 1e9:.0f}" for speed in speeds))
    grown = Table(title="ms per photo")
    for column in ("by", "", *report["engines"]):
        grown.add_column(column, justify="left" if column == "by" else "right")
    first = next(iter(report["engines"].values()))["growth"]
    for axis, values in first.items():
        for step in values:
            cells = (entry["growth"][axis][step] for entry in report["engines"].values())
            grown.add_row(axis, step, *(f"{1e3 * cell:.1f}" for cell in cells))
    return [stages, grown]


def _median(function: Callable[[], object], runs: int) -> float:
    function()
    return statistics.median(_seconds(function) for _ in range(runs))


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
