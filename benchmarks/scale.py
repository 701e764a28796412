"""What a catalog costs, each run from its command to its end.

    scale.py rates [--photos 50,450]                   photos a second, seconds to start: plain, with what rows of
                                                         a table hold, processes, Ray
    scale.py growth [--photos 1000,10000,100000]       time and memory over the number of photos
    scale.py driver [--photos 10000,100000,1000000]    the driver alone: listing, sharing out, reading what is done

``rates`` parses copies of the photos in examples/ at their own size with the bundled model as it is. ``growth`` parses
a hundred thumbnails, repeated, with the bundled network at 64 pixels, so that what surrounds the network shows.
``driver`` makes up addresses and tables and parses nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ssnan.cluster.catalog import SCHEMA, Catalog, shards
from ssnan.cluster.items import find_items
from ssnan.parsing.card import find_card

WAYS = {
    "parse": [],
    "parse --save json": ["--save", "json"],
    "catalog --workers 1": ["--workers", "1"],
    "catalog --workers 2": ["--workers", "2"],
    "catalog --ray --workers 1": ["--ray", "--workers", "1"],
    "catalog --ray --workers 2": ["--ray", "--workers", "2"],
}
SHARD = 256


def ssnan(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ssnan", *arguments]


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, and the most that the command itself and all its children together held, in MB."""
    started = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    own = children = 0
    while process.poll() is None:
        try:
            own = max(own, process.memory_info().rss)
            children = max(children, sum(child.memory_info().rss for child in process.children(recursive=True)))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {process.stderr.read().decode()}")
    return time.perf_counter() - started, own / 1e6, children / 1e6


def repeat(originals: list[Path], count: int, folder: Path) -> Path:
    """A folder of ``count`` photos, links to the originals in turn."""
    folder.mkdir()
    for number, original in zip(range(count), itertools.cycle(originals), strict=False):
        os.link(original, folder / f"{number:07d}{original.suffix}")
    return folder


def exponent(counts: list[int], values: list[float], base: float) -> float:
    """Of ``values``, less what they are without any photo, as a power of ``counts``."""
    return float(np.polyfit(np.log(counts), np.log(np.maximum(np.array(values) - base, 1e-9)), 1)[0])


def rates(counts: list[int], rounds: int, price: float) -> None:
    """The quickest of ``rounds`` of each way, in turn; a rate is between two numbers of photos."""
    few, many = counts
    quickest: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "photos").mkdir()
        originals = [
            Path(shutil.copy(photo, home / "photos")) for photo in sorted(Path("examples").glob("*.[jp][pn]g"))
        ]
        folders = {count: repeat(originals, count, home / str(count)) for count in counts}
        for _, (way, options), count in itertools.product(range(rounds), WAYS.items(), counts):
            shutil.rmtree(home / "out", ignore_errors=True)
            command = ssnan(way.split()[0], str(folders[count]), "-o", str(home / "out"), *options)
            seconds, *_ = run(command)
            quickest[way, count] = min(seconds, quickest.get((way, count), seconds))
    print("| command | seconds to start | photos per second | relative to plain |\n|---|---|---|---|")
    rate = {way: (many - few) / (quickest[way, many] - quickest[way, few]) for way in WAYS}
    for way in WAYS:
        start = quickest[way, few] - few / rate[way]
        print(f"| {way} | {start:.1f} | {rate[way]:.1f} | {rate[way] / rate['parse']:.2f} |")
    best = rate["catalog --workers 2"]
    hours = 1e6 / best / 3600
    cost = f"{hours:.1f} hours of this machine, {hours * price:.2f} at {price} an hour"
    print(f"\na million photos: 1,000,000 / {best:.1f} / 3600 = {cost}")


def growth(counts: list[int]) -> None:
    print("| photos | seconds | driver, MB | workers, MB | once more, seconds | driver, MB |\n" + "|---" * 6 + "|")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        thumbnails, model = write_thumbnails(home / "thumbnails"), write_small_model(home / "model")
        for count in [1, *counts]:
            folder, out = repeat(thumbnails, count, home / f"in{count}"), home / f"out{count}"
            command = ssnan("catalog", str(folder), "-o", str(out), "--workers", "2", "--model", str(model))
            rows.append((*run(command), *run(command)))
            assert sum(pq.read_metadata(table).num_rows for table in out.glob("results/*.parquet")) == count
            shutil.rmtree(folder)
            shutil.rmtree(out)
            cells = [f"{value:.0f}" if value > 100 else f"{value:.1f}" for value in rows[-1][:5]]
            print(f"| {count:,} | {' | '.join(cells)} |", flush=True)
    powers = [exponent(counts, [row[i] for row in rows[1:]], rows[0][i]) for i in range(5)]
    print("| exponent |", " | ".join(f"{power:.2f}" for power in powers), "|")


def write_thumbnails(folder: Path) -> list[Path]:
    """A hundred squares out of the photos, 96 pixels wide."""
    folder.mkdir()
    chance, made = random.Random(0), []
    photos = [Image.open(path).convert("RGB") for path in sorted(Path("examples").glob("*.[jp][pn]g"))]
    for number in range(100):
        photo = photos[number % len(photos)]
        side = chance.randint(min(photo.size) // 2, min(photo.size))
        left, top = (chance.randint(0, whole - side) for whole in photo.size)
        made.append(folder / f"{number}.jpg")
        photo.crop((left, top, left + side, top + side)).resize((96, 96)).save(made[-1])
    return made


def write_small_model(folder: Path) -> Path:
    """The bundled network, told to read photos at 64 pixels."""
    card = find_card("small")
    folder.mkdir()
    for file in card.all_files():
        shutil.copy(file, folder)
    values = json.loads(card.weights().with_suffix(".json").read_text())
    values["preprocessing"] |= {"longest_side": 64}
    (folder / "small.json").write_text(json.dumps(values))
    return folder / "small.onnx"


def driver(counts: list[int]) -> None:
    head = ("photos", "listed, s", "in shards, s", "tables", "read again, s", "memory, MB", "at most, MB")
    print("|", " | ".join(head), "|\n" + "|---" * len(head) + "|")
    rows = []
    for count in [1, *counts]:
        with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as alone:
            write_catalog(Path(folder), count)
            rows.append(alone.apply(drive, (folder,)))
        listed, shared, tables, read, held, most = rows[-1]
        cells = f"{listed:.2f} | {shared:.2f} | {tables:,} | {read:.2f} | {held:.0f} | {most:.0f}"
        print(f"| {count:,} | {cells} |", flush=True)
    columns = [list(values) for values in zip(*rows, strict=True)]
    powers = [exponent(counts, values[1:], values[0]) for values in columns]
    print("| exponent |", " | ".join(f"{power:.2f}" for power in powers), "|")
    billion = [
        values[-1] + (values[-1] - values[-2]) * (1e9 - counts[-1]) / (counts[-1] - counts[-2]) for values in columns
    ]
    print("| a billion, in a straight line |", " | ".join(f"{value:,.0f}" for value in billion), "|")


def write_catalog(folder: Path, count: int) -> None:
    """A list of addresses, and the tables of a run that has parsed them all."""
    addresses = [f"s3://shop/photos/{number // 1000:06d}/{number:010d}.jpg" for number in range(count)]
    (folder / "list.txt").write_text("\n".join(addresses))
    (folder / "out" / "results").mkdir(parents=True)
    for first in range(0, count, SHARD):
        keys = addresses[first : first + SHARD]
        nothing = {field.name: pa.nulls(len(keys), field.type) for field in SCHEMA}
        table = pa.table(nothing | {"key": keys, "name": keys, "status": ["parsed"] * len(keys)}, schema=SCHEMA)
        pq.write_table(table, folder / "out" / "results" / f"{first:016x}.parquet")


def drive(folder: str) -> tuple[float, float, int, float, float, float]:
    """Seconds of each part, tables, and what the lists hold in the end and held at most, in MB."""
    before = psutil.Process().memory_info().rss
    times = [time.perf_counter()]
    items = find_items([f"{folder}/list.txt"])
    times.append(time.perf_counter())
    todo = shards(items, SHARD)
    times.append(time.perf_counter())
    done = Catalog(f"{folder}/out", "files", {}).done()
    times.append(time.perf_counter())
    assert len(done) == len(items)
    held = psutil.Process().memory_info().rss - before
    peak = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
    listed, shared, read = np.diff(times)
    return listed, shared, len(todo), read, held / 1e6, peak / 1e3 - before / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    for name, default in (
        ("rates", [50, 450]),
        ("growth", [1000, 10_000, 100_000]),
        ("driver", [10_000, 100_000, 1_000_000]),
    ):
        commands.add_parser(name).add_argument("--photos", type=numbers, default=default)
    commands.choices["rates"].add_argument("--rounds", type=int, default=2)
    commands.choices["rates"].add_argument("--price", type=float, default=0.08, help="of an hour of this machine")
    options = parser.parse_args()
    if len(options.photos) < 2 or (options.command == "rates" and len(options.photos) > 2):
        parser.error(f"--photos: expected {'two' if options.command == 'rates' else 'several'} numbers, such as 50,450")
    match options.command:
        case "rates":
            rates(options.photos, options.rounds, options.price)
        case "growth":
            growth(options.photos)
        case "driver":
            driver(options.photos)


if __name__ == "__main__":
    main()
