"""Who may ask, how much may be sent, and what every answer carries, whatever is asked."""

import asyncio

import jsonschema
import pytest

from ssnan.serving.api import application
from ssnan.serving.guard import Guard
from ssnan.serving.limits import Limits
from ssnan.serving.page import ADDRESSES
from ssnan.serving.queue import RequestQueue

SERVICE = ["/api/labels", "/api/models", "/healthz", "/metrics", "/openapi.json"]
NOTHING = [
    # Gradio's, which read files, stored them and started programs
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/upload", "/gradio_api/file=/etc/hostname",
    "/gradio_api/process_recording", "/gradio_api/run/predict", "/gradio_api/call/0", "/gradio_api/reset",
    "/gradio_api/info", "/gradio_api/proxy=http://example.org", "/gradio_api/deep_link", "/config", "/reload", "/login",
    # files that are there, by other names
    "/examples/", "/examples/%2e%2e/page.html", "/examples//etc/hostname", "/web/page.html", "/page.html", "/page.py",
    "/static-offline-docs/swagger-ui.css", "/%00", "/api/parse/", "/api/nothing", "/redoc", "/favicon.ico",
]  # fmt: skip


@pytest.mark.parametrize("path", [*ADDRESSES, *SERVICE])
def test_whatever_can_be_had_can_be_looked_at(ask, path):
    got, looked = ask("GET", path), ask("HEAD", path)
    assert got.status_code == looked.status_code == 200
    assert got.content
    assert looked.content == b""
    if path != "/metrics":  # which counts what was asked
        assert looked.headers == got.headers


@pytest.mark.parametrize("path", ["/api/parse", *ADDRESSES, *SERVICE])
def test_a_wrong_method_is_told_the_right_ones(ask, path):
    right = {"POST"} if path == "/api/parse" else {"GET", "HEAD"}
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - right:
        answer = ask(method, path)
        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].split(", ")) == right
        assert method == "HEAD" or "method" in answer.json()["error"]


@pytest.mark.parametrize("path", NOTHING)
def test_where_nothing_is(ask, path):
    for method in ("GET", "POST", "PUT", "HEAD"):
        answer = ask(method, path, json={"data": [{"path": "/etc/hostname"}], "fn_index": 0})
        assert answer.status_code == 404
        assert method == "HEAD" or answer.json() == {"error": "no such address; /docs lists all addresses"}


def test_no_address_holds_anything_that_a_visitor_chooses(color_parser):
    app = application(RequestQueue({"colors": color_parser}, Limits()), {"colors": None})
    paths = [route.path for route in app.app.routes]
    assert len(paths) == len(ADDRESSES) + len(SERVICE) + 1
    assert not [path for path in paths if "{" in path]


def test_nothing_of_a_visitor_s_goes_to_a_program_or_an_address(ask, photo, monkeypatch, tmp_path):
    def refuse(*arguments, **_):
        pytest.fail(f"went to {arguments}")

    for name in ("subprocess.Popen", "os.system", "os.posix_spawn", "socket.getaddrinfo", "socket.gethostbyname"):
        monkeypatch.setattr(name, refuse, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    playlist = b"#EXTM3U\n#EXTINF:5,\nhttp://example.org/a.ts\n"
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    for content, status in ((photo, 200), (playlist, 415), (postscript, 415), (b"\x1aE\xdf\xa3 video", 415)):
        for request in ({"content": content}, {"files": {"image": ("http://example.org/x.png", content)}}):
            headers = {"referer": "http://example.org/", "x-forwarded-for": "example.org"}
            assert ask("POST", "/api/parse", headers=headers, **request).status_code == status
    assert list(tmp_path.iterdir()) == []


FOREIGN = [
    "example.org", "example.org:80", "localhost.example.org", "127.0.0.1.example.org", "localhost@example.org",
    "example.org#localhost", "10.0.0.1", "[::2]", "[::1", "", " ", "localhost:80:80", "localhost\xa0",
]  # fmt: skip
OURS = [
    "localhost",
    "LocalHost:7860",
    "localhost.",
    "127.0.0.1:1",
    "[::1]:7860",
    "[0:0:0:0:0:0:0:1]",
    "shop.example:443",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_name_is_not_ours(ask, host):
    for path in ("/", "/healthz", "/metrics", "/docs", "/page.js", "/nothing"):
        answer = ask("GET", path, hosts=("shop.example",), headers={"host": host.encode("latin-1")})
        assert answer.status_code == 421, path
        assert "--allow-host" in answer.json()["error"]


@pytest.mark.parametrize("host", OURS)
def test_names_of_ours(ask, host):
    assert ask("GET", "/", hosts=("shop.example",), headers={"host": host}).status_code == 200
    assert ask("GET", "/", hosts=("shop.example",), headers={"origin": f"https://{host}"}).status_code == 200


@pytest.mark.parametrize(("name", "host"), [("Shop.Example.", "shop.example"), ("2001:DB8::1", "[2001:db8:0::1]")])
def test_names_in_other_spellings(ask, name, host):
    assert ask("GET", "/", hosts=(name,), headers={"host": host}).status_code == 200


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"], ["evil.example", "localhost"], ["localhost"] * 2])
def test_one_host_and_one_only(color_parser, hosts):
    assert status_of(color_parser, [(b"host", host.encode()) for host in hosts]) == 421


@pytest.mark.parametrize(("host", "status"), [("192.0.2.7:7860", 200), ("192.0.2.8", 421), ("gateway", 421)])
def test_the_address_that_a_request_arrived_at_is_ours(color_parser, host, status):
    """So that ``--host 0.0.0.0`` is found by a number, but by no name that was bent to it."""
    assert status_of(color_parser, [(b"host", host.encode())], ("192.0.2.7", 7860)) == status
    assert status_of(color_parser, [(b"host", b"gateway")], ("gateway", 7860)) == 421


def status_of(parser, headers, server=("127.0.0.1", 7860)):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/healthz",
        "query_string": b"",
        "headers": headers,
        "server": server,
    }
    asyncio.run(application(RequestQueue({"colors": parser}, Limits()), {"colors": None})(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize("path", ["/", "/api/parse", "/healthz", "/nothing"])
@pytest.mark.parametrize(
    "origin", ["null", "file://", "localhost", "https://", "", *(f"http://{host}" for host in FOREIGN[:6])]
)
def test_a_page_of_another_site_asks_in_vain(ask, photo, path, origin):
    answer = ask("POST", path, content=photo, headers={"origin": origin})
    assert answer.status_code == 403
    assert "pages of other sites" in answer.json()["error"]
    preflight = ask("OPTIONS", path, headers={"origin": origin, "access-control-request-method": "POST"})
    assert preflight.status_code == 403
    for response in (answer, preflight):
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_a_page_of_ours_may_ask(ask, photo):
    answer = ask("POST", "/api/parse", content=photo, headers={"origin": "http://127.0.0.1:7860"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_every_answer_says_what_a_browser_may_do_with_it(ask, photo, color_parser):
    def broken(pixels):
        raise ZeroDivisionError

    answers = [
        ask("GET", "/"),
        ask("GET", "/docs"),
        ask("GET", "/nothing"),
        ask("PUT", "/"),
        ask("GET", "/", headers={"host": "example.org"}),
        ask("GET", "/", headers={"origin": "null"}),
        ask("POST", "/api/parse", content=photo),
        ask("POST", "/api/parse", Limits(upload_bytes=10), content=photo),
    ]
    color_parser.engine = broken
    answers.append(ask("POST", "/api/parse", Limits(waiting=7), content=photo))
    assert [answer.status_code for answer in answers] == [200, 200, 404, 405, 421, 403, 200, 413, 500]
    assert answers[-1].json() == {"error": "internal error; see the log of the service"}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/api/labels", "/nothing", "/openapi.json", "/api/parse"])
@pytest.mark.parametrize("length", ["101", "9" * 400])
def test_no_address_takes_more_than_is_allowed(ask, path, length):
    answer = ask("GET", path, Limits(upload_bytes=100), headers={"content-length": length})
    assert answer.status_code == 413
    assert "0.0001 MB" in answer.json()["error"]


def test_the_description_promises_what_comes(ask, photo):
    document = ask("GET", "/openapi.json").json()
    assert document["components"]["schemas"].keys() == {"Problem"}
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    for status, answer in (entry for operation in operations for entry in operation["responses"].items()):
        if status != "200":
            assert answer["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    problem = document["components"]["schemas"]["Problem"] | {"additionalProperties": False}
    documented = document["paths"]["/api/parse"]["post"]["responses"]
    for query, limits, headers in [
        ("?parts=hare", Limits(), {}),
        ("?colors=loud", Limits(), {}),
        ("", Limits(pixels=9), {}),
        ("", Limits(waiting=0), {}),
        ("", Limits(upload_bytes=9), {}),
        ("", Limits(), {"accept": "text/html"}),
        ("", Limits(), {"host": "example.org"}),
        ("", Limits(), {"origin": "null"}),
    ]:
        answer = ask("POST", f"/api/parse{query}", limits, content=photo, headers=headers)
        jsonschema.validate(answer.json(), problem)
        assert str(answer.status_code) in documented
    assert ask("GET", "/api/labels?model=x").status_code == 422
    assert "422" in document["paths"]["/api/labels"]["get"]["responses"]


def test_who_is_not_waited_for_any_more_is_told(color_parser):
    """At its end a server cancels what still runs; an error in its log would be one of nobody."""
    sent = []

    async def forever(scope, receive, send):
        await asyncio.sleep(3600)

    async def send(message):
        sent.append(message)

    async def stopped():
        guard = Guard(forever, RequestQueue({"colors": color_parser}, Limits()), ())
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
        task = asyncio.ensure_future(guard(scope, None, send))
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(stopped())
    assert sent[0]["status"] == 503
    assert b"is stopping" in sent[1]["body"]
