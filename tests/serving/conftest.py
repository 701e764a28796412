import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ssnan.serving.api import application
from ssnan.serving.limits import Limits
from ssnan.serving.queue import RequestQueue

ROOT = Path(__file__).parent.parent.parent
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
