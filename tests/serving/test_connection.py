"""What no HTTP library would send, to the real command. That nothing of it is in the log is seen when it ends."""

import asyncio
import re
import socket
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from ssnan.serving.connection import Connection
from ssnan.serving.limits import Limits

HOST = b"Host: localhost\r\n"
UPLOAD = b"POST /api/parse HTTP/1.1\r\n" + HOST
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKS = UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"


@pytest.fixture(scope="module")
def service(serving):
    return serving("--max-seconds", "1", "--max-upload-mb", "1", "--allow-host", "shop.example")


@pytest.fixture
def address(service):
    return service[0]


@pytest.fixture
def process(service):
    return service[1]


@pytest.fixture
def connect(address):
    """A connection to the service; gives up only long after the service has to."""
    place = urlsplit(address)
    opened = []

    def connect():
        connection = socket.create_connection((place.hostname, place.port), timeout=30)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}


def heard(connection):
    """All that comes until the service closes the connection."""
    said = b""
    while part := connection.recv(65536):
        said += part
    return said


def asked(connection, request):
    connection.sendall(request)
    return heard(connection)


def statuses(answers):
    return [int(number) for number in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def test_who_falls_silent_is_not_waited_for(connect):
    expected = {
        b"": [],
        b"\r\n": [],
        b"GET / HT": [408],
        b"GET / HTTP/1.1\r\nHost: loc": [408],
        HEALTH + b"\r\n": [200],
        HEALTH + b"GET /hea": [200, 408],
        b"POST /nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nabc": [404],
        UPLOAD + b"Content-Length: 1000\r\n\r\nabc": [408],
        CHUNKS: [408],
    }
    begun = {start: connect() for start in expected}
    for start, connection in begun.items():
        connection.sendall(start)
    assert {start: statuses(heard(connection)) for start, connection in begun.items()} == expected


def test_who_sends_a_head_in_drops_is_not_waited_for(connect):
    connection = connect()
    connection.sendall(b"GET / HTTP/1.1\r\nX: ")
    connection.settimeout(0.2)
    for _ in range(150):
        try:
            connection.sendall(b"a")
            answer = connection.recv(65536)
        except TimeoutError:
            continue
        assert statuses(answer) == [408]
        return
    pytest.fail("the service still listens")


def test_an_answer_that_nobody_takes_is_given_up(connect, process):
    files = Path(f"/proc/{process.pid}/fd")
    asked(connect(), b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")  # it listens before it serves
    before = len(list(files.iterdir()))
    connection = connect()
    connection.sendall((b"GET /swagger-ui-bundle.js HTTP/1.1\r\n" + HOST + b"\r\n") * 10)
    for _ in range(300):
        if connection.recv(1, socket.MSG_PEEK) and len(list(files.iterdir())) <= before:
            return
        time.sleep(0.1)
    pytest.fail("the service still holds the answer")


def taken_until_given_up(rate, again=b""):
    """How many bytes of a response of 500 kB a client gets that reads ``rate`` bytes per second, from a service that
    waits half a second. The client sends ``again`` after its request."""
    body = bytes(500_000)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def taken():
        loop, small = asyncio.get_running_loop(), 4096  # buffers of the system, so that all else is in the service
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, small)
        state, limits = uvicorn.server.ServerState(), Limits(seconds=0.5)
        server = await loop.create_server(lambda: Connection(config, state, {}, limits=limits), sock=listening)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, small)
            client.setblocking(False)
            await loop.sock_connect(client, listening.getsockname())
            await loop.sock_sendall(client, HEALTH)
            count = len(await loop.sock_recv(client, 1000))
            await loop.sock_sendall(client, again)
            try:
                while count < len(body):
                    await asyncio.sleep(0.05)
                    if rate:
                        part = await loop.sock_recv(client, rate // 20)
                        count += len(part)
                        if not part:
                            break
                    elif not state.connections:
                        break
            except ConnectionResetError:
                pass
        server.close()
        return count

    return asyncio.run(asyncio.wait_for(taken(), 30))


def test_an_answer_that_is_read_too_slowly_is_given_up():
    assert taken_until_given_up(rate=20_000) < 100_000
    assert taken_until_given_up(rate=300_000) >= 500_000


def test_another_request_does_not_save_an_answer_that_nobody_takes():
    assert taken_until_given_up(rate=0, again=HEALTH) < 10_000


def test_a_head_without_an_end_is_cut_off(connect):
    connection = connect()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012 - which of the writes is no matter
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(1000):
            connection.sendall(b"a" * 65536)


@pytest.mark.parametrize("end", [b"ZZZ\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n", b"\x00", b"ffffffffffffffffffff\r\n"])
def test_broken_chunks(connect, end):
    answer = asked(connect(), CHUNKS + end)
    assert statuses(answer) == [400]
    assert answer.endswith(b'{"error":"expected an HTTP/1.1 request"}')


def test_an_upload_that_breaks_off(connect):
    connection = connect()
    connection.sendall(UPLOAD + b"Content-Length: 1000\r\n\r\nabc")
    connection.shutdown(socket.SHUT_WR)
    heard(connection)
    connection = connect()
    connection.sendall(UPLOAD + b"Content-Length: 1000\r\n\r\nabc")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no end


def test_chunks_without_an_end_are_cut_off(connect):
    connection = connect()
    connection.sendall(CHUNKS)
    connection.sendall((b"10000\r\n" + b"a" * 65536 + b"\r\n") * 15)
    connection.sendall(b"10000\r\n" + b"a" * 65536)
    assert statuses(heard(connection)) == [413]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"hello\r\n\r\n", 400),
        (b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /../page.html HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET //etc/hostname HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 421),
        (b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n", 421),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n", 200),
    ],
)
def test_what_is_no_request_of_ours_is_answered_in_our_form(connect, request_, expected):
    answer = asked(connect(), request_)
    assert statuses(answer) == [expected]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-security-policy: default-src 'self'" in head
    assert b"content-type: application/json" in head
    assert body.startswith(b'{"status":' if expected == 200 else b'{"error":"')


def test_a_look_at_something_leaves_the_connection_in_order(connect):
    twice = b"HEAD /docs HTTP/1.1\r\n" + HOST + b"\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    first, second, body = asked(connect(), twice).split(b"\r\n\r\n")
    assert statuses(first) == statuses(second) == [200]
    assert b"text/html" in first
    assert body == b'{"status":"ok"}'


def test_a_name_that_was_allowed(address):
    names = ("shop.example", "localhost:1", "other.example")
    assert [httpx.get(address, headers={"host": name}).status_code for name in names] == [200, 200, 421]
