"""Parsing needs no network, and does not try for one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

WITHOUT_SOCKETS = """
import socket, sys

def refused(*_, **__):
    raise AssertionError("a socket was asked for")

socket.socket = socket.create_connection = socket.getaddrinfo = refused
from ssnan.commands import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_command_line_asks_for_no_socket(tmp_path):
    command = [sys.executable, "-c", WITHOUT_SOCKETS]
    subprocess.run([*command, "models"], check=True, capture_output=True)
    parse = ["parse", str(EXAMPLES / "camera.png"), "-o", str(tmp_path), "--save", "overlay,json,cutout"]
    subprocess.run([*command, *parse], check=True, capture_output=True)
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".json"}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_send_no_telemetry(engine, tmp_path):
    """By default, each stores an id for the user in the home directory, and sends it to a server."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    parse = ["parse", str(EXAMPLES / "camera.png"), "-o", str(tmp_path / "out"), "--engine", engine]
    command = [sys.executable, "-m", "ssnan", *parse]
    subprocess.run(command, check=True, capture_output=True, env=environment | {"HOME": str(home)})
    assert (tmp_path / "out" / "camera.png").exists()
    assert list(home.rglob("*")) == []
