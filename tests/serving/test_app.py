"""The process: how it begins where it is started oddly, and that it ends at once and leaves nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from serving.conftest import STOPS
from ssnan.commands import parsers
from ssnan.errors import UserError
from ssnan.serving.app import Server, serve
from ssnan.serving.limits import Limits


def test_a_system_without_sighup_is_served(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    server = Server(uvicorn.Config(None))
    with server.capture_signals():
        assert signal.getsignal(signal.SIGTERM) == server.handle_exit
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("name", STOPS)
def test_a_signal_during_uploads(serving, name):
    """Those who upload get an answer; the log and the folder for files are looked at by the fixture."""
    stop = getattr(signal, name)
    address, process = serving("--max-seconds", "30")
    place = urlsplit(address)
    head = b"POST /api/parse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    uploads = [socket.create_connection((place.hostname, place.port), timeout=30) for _ in range(4)]
    uploads[0].sendall(head + b"\r\nabc")
    uploads[1].sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
    uploads[2].sendall(b"POST /api/par")
    while "ssnan_waiting 2" not in httpx.get(f"{address}/metrics").text:
        pass
    process.send_signal(stop)
    answers = [upload.recv(65536) for upload in uploads]
    for upload in uploads:
        upload.close()
    assert process.wait(20) == 128 + stop
    assert all(b" 503 " in answer and b"is stopping" in answer for answer in answers[:2])


def test_a_closed_standard_output(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ssnan", "serve", "--port", str(port), "--threads", "1"]
    with (tmp_path / "errors").open("wb") as errors:
        shell = ["sh", "-c", 'exec "$@" >&- <&-', "sh", *command]
        process = subprocess.Popen(shell, stderr=errors, env=os.environ | {"TMPDIR": str(tmp_path)})
    for _ in range(300):
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
            break
        except httpx.ConnectError:
            assert process.poll() is None, (tmp_path / "errors").read_text()
            time.sleep(0.1)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    assert (tmp_path / "errors").read_text() == ""


def given(*options):
    return parsers()[1].choices["serve"].parse_args(options)


@pytest.mark.parametrize("port", ["٣٤", "７８６０", "²", "-1", "65536", "", "1e3", " 80", "0x50", "+80"])
def test_odd_ports(port, capsys):
    with pytest.raises(SystemExit) as ended:
        given(f"--port={port}")
    assert ended.value.code == 2
    assert "expected a port from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    "host",
    ["", " ", "localhost:80", "http://localhost", "[::1]", "256.256.256.256", "1.2.3", "0", "::g", "a b", "a/b", "a@b",
     "locälhost", "\x00", "a\nb", "\udcff", "٣", "*", "a" * 254],
)  # fmt: skip
@pytest.mark.parametrize("option", ["--host", "--allow-host"])
def test_odd_hosts(option, host, capsys):
    with pytest.raises(SystemExit) as ended:
        given(f"{option}={host}")
    assert ended.value.code == 2
    assert "expected a name or an address without a port" in capsys.readouterr().err


def test_plain_hosts():
    for host in ("localhost", "0.0.0.0", "127.0.0.1", "::", "::1", "shop.example", "my_box-2", "xn--bcher-kva.example"):
        assert given("--host", host).host == host
    assert given("--allow-host", "a.example", "--allow-host", "b.example").allow_host == ["a.example", "b.example"]


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64, "192.0.2.1", "2001:db8::1"])
def test_hosts_that_are_not_here(host):
    with pytest.raises(UserError) as refused:
        serve({}, {}, Limits(), host, 0)
    assert str(refused.value).startswith(f"cannot listen on {host}:0: ")
    assert str(refused.value).endswith("; choose another --host or --port")
