"""Print how fast the built page is in Chromium, and how many times as long it takes as the Python package."""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import re
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import ssnan

ROOT = Path(__file__).parent.parent
BUILT = ROOT / "web" / "dist"
FLAGS = ("--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FRAMES = re.compile(r"\((.*) frames a second\)")
WAIT = 300_000
"""Milliseconds."""


class Host(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(page: Page, address: str, photo: Path, runs: int) -> None:
    def visit() -> None:
        page.goto(address)
        page.wait_for_selector("#engine:has-text('Engine: ')")

    def parse() -> None:
        page.set_input_files("#file", photo)
        page.wait_for_selector("#result:not([hidden])")

    parser = ssnan.load(engine="onnxruntime", threads=os.cpu_count())
    parser(photo)
    print(f"first visit, until the engine is ready: {seconds(visit):.2f} s")
    print(f"first photo, from its choice to its parts: {seconds(parse):.2f} s")
    pairs = [(seconds(parse), seconds(lambda: parser(photo).people)) for _ in range(runs)]
    here, there = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(page / python for page, python in pairs)
    print(f"further photos: {here:.2f} s; Python: {there:.2f} s; ratio {ratio:.1f}")
    page.click("#camera")
    page.wait_for_selector("#camera:has-text('frames a second')")
    page.wait_for_timeout(10_000)
    found = FRAMES.search(page.inner_text("#camera"))
    assert found is not None
    print(f"camera of 640 × 480 pixels: {found[1]} frames a second; {page.inner_text('#engine')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", default=ROOT / "examples" / "grace_hopper.jpg")
    parser.add_argument("--runs", type=int, default=7, help="pairs of page and Python whose median counts")
    options = parser.parse_args()
    if not BUILT.is_dir():
        parser.error(f"expected the built page in {BUILT}; run make web")
    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Host, directory=BUILT))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        measure(page, f"http://127.0.0.1:{host.server_port}/", options.photo, options.runs)
        browser.close()
    host.shutdown()


if __name__ == "__main__":
    main()
