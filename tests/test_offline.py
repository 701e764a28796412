"""Parsing needs no network, and does not try for one."""

import subprocess
import sys
from pathlib import Path

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
