"""Kill something at a random moment of a catalog run, twenty times, and see whether every photo is parsed once.

    kills.py [--photos 48] [--seed 0] [--only processes,ray] [--killed worker,driver]

Victims: a worker (the process that parses), an actor of Ray's, a node (all processes of a second local Ray node), the
driver; always by SIGKILL. A driver that is killed is started again with the same command, once. The photos are one
small photo, copied. Prints a table with a row a kill.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import psutil
import pyarrow.parquet as pq
from PIL import Image

PLANS = [("processes", "worker")] * 6 + [("processes", "driver")] * 4
PLANS += [("ray", "worker")] * 2 + [("ray", "actor")] * 3 + [("ray", "node")] * 3 + [("ray", "driver")] * 2
PORT = 6399


def write_photos(folder: Path, count: int) -> None:
    folder.mkdir()
    photo = Image.open("examples/grace_hopper.jpg").convert("RGB")
    photo.thumbnail((160, 160))
    photo.save(folder / "0000.jpg", quality=90)
    for number in range(1, count):
        shutil.copy(folder / "0000.jpg", folder / f"{number:04d}.jpg")


def start_node(*arguments: str) -> list[psutil.Process]:
    """A Ray node's processes."""
    before = set(psutil.pids())
    command = ["ray", "start", *arguments, "--num-cpus=1", "--disable-usage-stats"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [process for process in psutil.process_iter(["name"]) if process.pid not in before]


def named(processes: list[psutil.Process], word: str) -> list[psutil.Process]:
    found = []
    for process in processes:
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def victims(kind: str, driver: psutil.Process, second: list[psutil.Process]) -> list[psutil.Process]:
    everyone = list(psutil.process_iter())
    actors = named(everyone, "ray::MapWorker")
    match kind:
        case "driver":
            return [driver]
        case "actor":
            return actors[:1]
        case "node":
            below = [child for process in second if process.is_running() for child in process.children(recursive=True)]
            return [*second, *below]
    parents = actors or [driver]
    return named([child for parent in parents for child in parent.children()], "spawn_main")[:1]


def finished(out: Path) -> int:
    return len(list(out.glob("results/*.parquet")))


def one_kill(mode: str, kind: str, random: Random, count: int) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        photos, out = Path(folder, "in"), Path(folder, "out")
        write_photos(photos, count)
        second: list[psutil.Process] = []
        where = ["--workers", "2"]
        if mode == "ray":
            start_node("--head", f"--port={PORT}", "--include-dashboard=false")
            second = start_node(f"--address=127.0.0.1:{PORT}")
            where += ["--ray", f"127.0.0.1:{PORT}"]
        command = [sys.executable, "-m", "ssnan", "catalog", str(photos), *where, "--shard", "2", "-o", str(out)]
        try:
            driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            after = random.randrange(count // 2 - 2)
            delay = random.uniform(0, 0.3)
            while finished(out) < after and driver.poll() is None:
                time.sleep(0.01)
            time.sleep(delay)
            at = finished(out)
            chosen = victims(kind, psutil.Process(driver.pid), second)
            for process in chosen:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            status, runs = driver.wait(timeout=300), 1
            if status != 0:
                status, runs = (
                    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode,
                    2,
                )
        finally:
            if mode == "ray":
                subprocess.run(["ray", "stop", "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows = [row for path in out.glob("results/*.parquet") for row in pq.read_table(path).to_pylist()]
        times = Counter(row["key"] for row in rows)
        parsed = sum(row["status"] == "parsed" for row in rows)
        maps = len(list(out.glob("maps/*.png")))
        lost, doubled = count - len(times), sum(times.values()) - len(times)
        told = "yes" if status == 0 and not lost and not doubled and parsed == maps == count else "NO"
        return (
            mode,
            kind,
            str(len(chosen)),
            f"{at} of {count // 2}",
            str(runs),
            str(parsed),
            str(maps),
            str(lost),
            str(doubled),
            told,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="processes,ray")
    parser.add_argument("--killed", default="worker,actor,node,driver")
    options = parser.parse_args()
    os.environ["RAY_AUTH_MODE"] = "disabled"  # of nodes on the loopback
    random = Random(options.seed)
    head = ("workers", "killed", "processes", "shards done", "runs", "parsed", "maps", "lost", "doubled", "each once")
    print("|", " | ".join(head), "|")
    print("|---" * len(head) + "|", flush=True)
    for mode, kind in PLANS:
        if mode in options.only.split(",") and kind in options.killed.split(","):
            print("|", " | ".join(one_kill(mode, kind, random, options.photos)), "|", flush=True)


if __name__ == "__main__":
    main()
