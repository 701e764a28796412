import asyncio
import base64
import io
import os
import re
import signal
import subprocess
import sys

import httpx
import numpy as np
import pytest
from PIL import Image

from browser import PHOTO, opened_browser  # noqa: F401
from ssnan.serving.api import application
from ssnan.serving.limits import Limits
from ssnan.serving.queue import RequestQueue

STOPS = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end the service; Windows lacks the last."""


@pytest.fixture
def photo():
    """Red hair above a blue face on grey, 60 × 40."""
    pixels = np.full((60, 40, 3), 128, dtype=np.uint8)
    pixels[10:25, 10:30] = 255, 0, 0
    pixels[25:45, 10:30] = 0, 0, 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def ask(color_parser):
    """One request of a service of its own; limits, names and the parser may be changed."""
    made = {}

    def ask(method, path, limits=Limits(), parser=color_parser, hosts=(), **request):  # noqa: B008
        async def asked():
            if (limits, parser, hosts) not in made:
                made[limits, parser, hosts] = application(
                    RequestQueue({"colors": parser}, limits), {"colors": None}, hosts
                )
            transport = httpx.ASGITransport(made[limits, parser, hosts], raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **request)

        return asyncio.run(asked())

    return ask


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """The real command on a free port; gives a function that starts one, which ends with the module. Whatever was sent
    to it, it has written nothing but where it listens, and left no file."""
    started = []

    def start(*options):
        command = [sys.executable, "-m", "ssnan", "serve", "--port", "0", "--threads", "1", *options]
        folder = tmp_path_factory.mktemp("serve")
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        started.append((process, folder))
        line = process.stdout.readline()
        assert line.startswith("http://"), line + process.stdout.read()
        return re.match(r"http://\S+", line)[0], process

    yield start
    for process, folder in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(40) in [128 + getattr(signal, name) for name in STOPS]
        with process.stdout:
            assert process.stdout.read() == ""
        assert list(folder.iterdir()) == []


# The page in a real browser.


@pytest.fixture(scope="module")
def address(serving):
    return serving()[0]


@pytest.fixture
def visit(browser, address):
    """Opens the page in a window of its own; every request is noted, and nothing may go wrong in the page."""
    contexts, wrong = [], []

    def visit(width=1280, height=1000, path="/", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(address + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def both(tmp_path):
    """A photo of two people; the left one is larger."""
    photo = Image.open(PHOTO)
    both = Image.new("RGB", (2 * photo.width, photo.height), "white")
    both.paste(photo, (0, 0))
    both.paste(photo.resize((256, 300)), (photo.width + 100, 250))
    both.save(tmp_path / "both.png")
    return tmp_path / "both.png"


def send(page, *photos):
    page.set_input_files("#file", photos or PHOTO)


def see(page):
    page.wait_for_selector("#parts button", timeout=30_000)


def seen(page):
    """Pixels of the picture, uint8 (H, W, 3)."""
    address = page.evaluate("document.querySelector('#view').toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


def downloaded(page, label, path):
    with page.expect_download() as waiting:
        page.click(f"#downloads >> text={label}")
    waiting.value.save_as(path)
    return path
