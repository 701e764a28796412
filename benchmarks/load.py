"""The service under load, beside the plain folder run: throughput, waiting times, a flood, slow clients, memory.

    load.py PHOTOS [--clients 1,4,16,64] [--seconds 20]

PHOTOS is a folder. The service runs in a process of its own, the clients in this one; each sends its next photo when
the last one is answered, and wants the map as PNG. Those that are sent away (429) try again when told to, and
their times do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

ACCEPT = {"accept": "image/png"}


def memory(process: int) -> float:
    """Resident megabytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def folder_run(photos: list[Path]) -> float:
    """Photos a second of ``ssnan parse``, start of the program left out by the difference of two runs."""
    seconds = []
    for count in (len(photos) // 4, len(photos)):
        with tempfile.TemporaryDirectory() as output:
            started = time.perf_counter()
            command = [sys.executable, "-m", "ssnan", "parse", *map(str, photos[:count]), "-o", output]
            subprocess.run([*command, "--engine", "onnxruntime"], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
    return (len(photos) - len(photos) // 4) / (seconds[1] - seconds[0])


async def load(address: str, images: list[bytes], clients: int, seconds: float) -> tuple[float, list[float], int]:
    """Answers a second, seconds of each, and how many were sent away."""
    times: list[float] = []
    away = 0
    end = time.perf_counter() + seconds

    async def client(number: int, http: httpx.AsyncClient) -> None:
        nonlocal away
        turn = number
        while time.perf_counter() < end:
            started = time.perf_counter()
            answer = await http.post("/api/parse", content=images[turn % len(images)], headers=ACCEPT)
            if answer.status_code == 429:
                away += 1
                await asyncio.sleep(float(answer.headers["retry-after"]))
                continue
            answer.raise_for_status()
            times.append(time.perf_counter() - started)
            turn += clients

    started = time.perf_counter()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as http:
        await asyncio.gather(*(client(number, http) for number in range(clients)))
    return len(times) / (time.perf_counter() - started), times, away


async def flood(address: str, image: bytes, requests: int) -> dict[int, int]:
    """Statuses of requests sent all at once."""
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as http:
        sent = (http.post("/api/parse", content=image, headers=ACCEPT) for _ in range(requests))
        return Counter(answer.status_code for answer in await asyncio.gather(*sent))


async def slow_client(host: str, port: int) -> int:
    """The status that a client gets which sends a byte a second."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /api/parse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
    answer = asyncio.ensure_future(reader.readline())
    while not answer.done():
        writer.write(b"x")
        await asyncio.sleep(1)
    writer.close()
    return int((await answer).split()[1])


async def slow_clients(address: str, image: bytes, count: int) -> tuple[dict[int, int], float]:
    """What slow clients get, and how many seconds a quick one waits among them."""
    place = urlsplit(address)
    slow = [asyncio.ensure_future(slow_client(place.hostname or "", place.port or 0)) for _ in range(count)]
    await asyncio.sleep(1)
    async with httpx.AsyncClient(base_url=address, timeout=120) as http:
        started = time.perf_counter()
        (await http.post("/api/parse", content=image, headers=ACCEPT)).raise_for_status()
        quick = time.perf_counter() - started
    return Counter(await asyncio.gather(*slow)), quick


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument(
        "--clients", type=lambda text: [int(number) for number in text.split(",")], default=[1, 4, 16, 64]
    )
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--count", type=int, default=120, help="photos of the folder that are used")
    options = parser.parse_args()
    photos = sorted(options.photos.glob("*.jpg"))[: options.count]
    if len(photos) < 4:
        parser.error(f"{options.photos}: expected a folder of 4 .jpg files or more, got {len(photos)}")
    images = [path.read_bytes() for path in photos]
    plain = folder_run(photos)
    print(f"ssnan parse: {plain:.1f} photos per second\n")
    command = [sys.executable, "-m", "ssnan", "serve", "--port", "0", "--engine", "onnxruntime", "--max-seconds", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        asyncio.run(load(address, images, 2, 3))  # warm
        before = memory(server.pid)
        head = ["clients", "responses per second", "share of ssnan parse", "without the clients' own time"]
        head += ["p50 ms", "p95 ms", "p99 ms", "refused", "memory, MB"]
        print("|", " | ".join(head), "|")
        print("|---" * len(head) + "|")
        for clients in options.clients:
            busy, began = time.process_time(), time.perf_counter()
            rate, times, away = asyncio.run(load(address, images, clients, options.seconds))
            # Of all cores' time; on a machine of their own the clients would leave it to the service.
            theirs = (time.process_time() - busy) / (time.perf_counter() - began) / len(os.sched_getaffinity(0))
            p50, p95, p99 = (1000 * np.percentile(times, share) for share in (50, 95, 99))
            share, alone = (f"{100 * rate / plain / part:.0f} %" for part in (1, 1 - theirs))
            cells = [
                clients,
                f"{rate:.1f}",
                share,
                alone,
                *(f"{p:.0f}" for p in (p50, p95, p99)),
                away,
                f"{memory(server.pid):.0f}",
            ]
            print("|", " | ".join(map(str, cells)), "|", flush=True)
        print(f"\nflood of 400 at once: {asyncio.run(flood(address, images[0], 400))}", flush=True)
        print(
            "24 slow clients, and the quick one's seconds among them:",
            asyncio.run(slow_clients(address, images[0], 24)),
        )
        time.sleep(2)
        print(f"memory: {before:.0f} MB warm, {memory(server.pid):.0f} MB after all of it")
        server.terminate()
    print(f"folder run again: {folder_run(photos):.1f} photos per second")


if __name__ == "__main__":
    main()
