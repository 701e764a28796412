import asyncio
import io
import json
import threading
import time
import zipfile
from pathlib import Path
from tempfile import SpooledTemporaryFile

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image

from fakes.photos import encoded
from ssnan.labels import LIP
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.results.colors import DISTINCT
from ssnan.results.document import __file__ as document_file
from ssnan.serving.answers import chosen
from ssnan.serving.api import application
from ssnan.serving.limits import Limits, RefusedError
from ssnan.serving.queue import RequestQueue


def opened(answer):
    return np.array(Image.open(io.BytesIO(answer.content)))


def test_json_map_overlay_and_masks_by_accept(ask, photo):
    answer = ask("POST", "/api/parse", content=photo)
    assert answer.headers["content-type"] == "application/json"
    schema = Path(document_file).with_name("document.schema.json")
    jsonschema.validate(answer.json(), json.loads(schema.read_text()))
    assert answer.json()["parts"].keys() == {"background", "hair", "face"}

    labels = opened(ask("POST", "/api/parse", content=photo, headers={"accept": "image/png"}))
    assert labels[15, 20] == 2
    assert labels[35, 20] == 13

    overlay = opened(ask("POST", "/api/parse", content=photo, headers={"accept": "image/jpeg"}))
    assert overlay.shape == (60, 40, 3)

    answer = ask("POST", "/api/parse", content=photo, headers={"accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert set(archive.namelist()) == {"hair.png", "face.png", "map.png"}
        np.testing.assert_array_equal(np.array(Image.open(archive.open("face.png"))) > 0, labels == 13)


def test_a_form_says_the_same_as_a_body(ask, photo):
    of_body = ask("POST", "/api/parse", content=photo)
    of_form = ask("POST", "/api/parse", files={"image": ("x.png", photo)})
    assert of_form.json() == of_body.json()


def test_a_large_form_stays_in_memory(ask, monkeypatch):
    def refuse(file):
        raise AssertionError("a file is written")

    monkeypatch.setattr(SpooledTemporaryFile, "rollover", refuse)
    pixels = np.random.default_rng(0).integers(0, 255, (800, 800, 3), dtype=np.uint8)
    large = encoded(Image.fromarray(pixels))
    assert len(large) > 1_500_000
    assert ask("POST", "/api/parse", files={"image": ("x.png", large)}).status_code == 200


def test_parts_and_other_labels(ask, photo):
    answer = ask("POST", "/api/parse?parts=hair", content=photo)
    assert answer.json()["parts"].keys() == {"hair"}
    labels = opened(ask("POST", "/api/parse?parts=hair", content=photo, headers={"accept": "image/png"}))
    assert set(np.unique(labels)) == {0, 2}
    answer = ask("POST", "/api/parse?labels=merged&parts=skin", content=photo)
    assert answer.json()["label_set"] == "lip_merged"
    assert answer.json()["parts"].keys() == {"skin"}


def form_without_image(photo):
    return {"files": {"photo": ("x.png", photo)}}


@pytest.mark.parametrize(
    ("path", "request_of", "limits", "status", "word"),
    [
        ("/api/parse", lambda photo: {"content": b"no picture"}, Limits(), 415, "not an image"),
        ("/api/parse", lambda photo: {"content": photo[:-40]}, Limits(), 422, "truncated"),
        ("/api/parse", lambda photo: {"content": b""}, Limits(), 422, "expected a photo"),
        ("/api/parse", form_without_image, Limits(), 422, "field 'image'"),
        ("/api/parse", lambda photo: {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, Limits(),
         422, "form"),
        ("/api/parse", lambda photo: {"content": photo}, Limits(upload_bytes=10), 413, "MB"),
        ("/api/parse", lambda photo: {"files": {"image": photo}}, Limits(upload_bytes=10), 413, "MB"),
        ("/api/parse", lambda photo: {"content": photo}, Limits(pixels=100), 413, "pixels"),
        ("/api/parse", lambda photo: {"content": photo}, Limits(waiting=0), 429, "busy"),
        ("/api/parse?parts=hare", lambda photo: {"content": photo}, Limits(), 422, "did you mean 'hair'"),
        ("/api/parse?person=3", lambda photo: {"content": photo}, Limits(), 422, "no person 3: the photo shows 2"),
        ("/api/parse?person=0", lambda photo: {"content": photo}, Limits(), 422, "person: "),
        (f"/api/parse?person={'9' * 4000}", lambda photo: {"content": photo}, Limits(), 422, "equal to 99"),
        ("/api/parse?model=big", lambda photo: {"content": photo}, Limits(), 422, "expected one of colors"),
        ("/api/parse?labels=/etc/x.yaml", lambda photo: {"content": photo}, Limits(), 422, "expected one of atr"),
        ("/api/parse", lambda photo: {"content": photo, "headers": {"accept": "text/html"}}, Limits(), 406, "Accept"),
    ],
)  # fmt: skip
def test_what_is_refused_and_how(ask, photo, path, request_of, limits, status, word):
    answer = ask("POST", path, limits, **request_of(photo))
    assert answer.status_code == status
    assert word in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_an_upload_without_a_length_is_cut_off_where_it_is_too_long(ask, photo):
    async def endless():
        while True:
            yield b"x" * 1000

    answer = ask("POST", "/api/parse", Limits(upload_bytes=100_000), content=endless())
    assert answer.status_code == 413


def test_a_slow_upload_is_given_up(ask):
    async def slow():
        yield b"x"
        await asyncio.sleep(60)

    answer = ask("POST", "/api/parse", Limits(seconds=0.1), content=slow())
    assert answer.status_code == 408


def test_a_slow_network_is_given_up(ask, photo, color_parser):
    released = threading.Event()
    engine = color_parser.engine
    color_parser.engine = lambda pixels: released.wait(30) and engine(pixels)
    answer = ask("POST", "/api/parse", Limits(seconds=0.2), content=photo)
    released.set()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_a_damaged_model_names_no_file(ask, photo, color_parser):
    color_parser.engine = lambda pixels: np.full((1, 20, 4, 4), np.nan, dtype=np.float32)
    answer = ask("POST", "/api/parse", content=photo)
    assert answer.status_code == 503
    assert "/" not in answer.json()["error"]


def test_what_else_can_be_asked(ask):
    assert ask("GET", "/healthz").json() == {"status": "ok"}
    assert ask("GET", "/api/labels").json()["classes"][2] == "hair"
    assert ask("GET", "/api/models").json() == [{"name": "colors", "label_set": "lip", "about": {}}]
    assert "ssnan_waiting 0" in ask("GET", "/metrics").text
    assert "/api/parse" in ask("GET", "/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("image/jpeg, image/png", "image/jpeg"),
        ("image/jpeg;q=0.5, image/png;q=0.8", "image/png"),
        ("text/html, application/zip;q=0.1", "application/zip"),
        ("image/png;q=0, application/json", "application/json"),
        ("application/json;q=0, */*", "image/png"),
        ("*/*;q=1, application/json; q=0.0, image/*;q=0", "application/zip"),
        ("*/*;q=0, image/jpeg", "image/jpeg"),
        ("image/jpeg;q=0.2, image/*", "image/png"),
        ("application/json;q=٠, */*;q=0.5", "image/png"),
    ],
)
def test_what_is_preferred(accept, kind):
    assert chosen(accept) == kind


@pytest.mark.parametrize("accept", ["image/png;q=0, text/html;q=x", "*/*;q=0", "image/png;q=nan", "image/png;q=2", ","])
def test_nothing_that_is_accepted(accept):
    with pytest.raises(RefusedError, match="application/json"):
        chosen(accept)


@pytest.mark.parametrize(
    "charset", ["nonesuch", "undefined", "idna", "punycode", "base64", "utf-16", "\xff", "a" * 999]
)
def test_a_form_s_charset_is_of_no_concern(ask, photo, charset):
    """Python has codecs that are none of text, and one that always fails."""
    form = b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n\xe9\r\n'
    form += (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="\xe9.png"\r\n\r\n' + photo + b"\r\n--x--\r\n"
    )
    kind = f"multipart/form-data; charset={charset}; boundary=x".encode("latin-1")
    answer = ask("POST", "/api/parse", content=form, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["MULTIPART/FORM-DATA", "Multipart/Form-Data ", "multipart/form-data"])
def test_a_form_is_one_in_any_case(ask, photo, kind):
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + photo + b"\r\n--x--\r\n"
    answer = ask("POST", "/api/parse", content=form, headers={"content-type": f"{kind}; boundary=x"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "query", ["model={}", "labels={}", "parts={}", "save={}", "colors={}", "model=small%00{}", "parts=hair,{}"]
)
def test_no_long_word_comes_back(ask, photo, query):
    answer = ask("POST", "/api/parse?" + query.format("x" * 30_000), content=photo)
    assert answer.status_code == 422
    assert len(answer.json()["error"]) < 600


def test_parts_are_those_of_every_person_too(ask, photo):
    people = ask("POST", "/api/parse?parts=hair", content=photo).json()["people"]
    assert {name for person in people for name in person["parts"]} == {"hair"}


def test_a_part_that_is_named_often_is_one(ask, photo):
    answer = ask("POST", "/api/parse?parts=hair,hair", content=photo, headers={"accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["hair.png", "map.png"]
        assert set(np.unique(np.array(Image.open(archive.open("map.png"))))) == {0, 2}


def test_a_zip_of_what_parse_saves(ask, photo):
    query = "/api/parse?save=json,cutout,overlay,masks&colors=distinct&parts=face"
    answer = ask("POST", query, content=photo, headers={"accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert set(archive.namelist()) == {
            "photo.png", "photo.json", "photo.cutout.png", "photo.overlay.png", "photo.mask.face.png",
        }  # fmt: skip
        document = json.loads(archive.read("photo.json"))
        alpha = np.array(Image.open(archive.open("photo.cutout.png")))[..., 3]
        assert set(np.unique(np.array(Image.open(archive.open("photo.png"))))) == {0, 13}
    assert document["parts"].keys() == {"face"}  # as in the answer in JSON
    assert tuple(document["parts"]["face"]["color"]) == DISTINCT[12]
    assert (alpha[35, 20], alpha[15, 20], alpha[2, 2]) == (255, 0, 0)
    assert "Accept: application/zip" in ask("POST", query, content=photo).json()["error"]


def test_one_person_of_several(ask):
    pixels = np.full((60, 100, 3), 128, dtype=np.uint8)
    pixels[5:55, 5:40] = 255, 0, 0  # hair
    pixels[20:45, 65:85] = 0, 0, 255  # a face
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")

    def answered(query, accept):
        return ask("POST", f"/api/parse?{query}", content=buffer.getvalue(), headers={"accept": accept})

    for person, label, name in ((1, 2, "hair"), (2, 13, "face")):
        assert set(np.unique(opened(answered(f"person={person}", "image/png")))) == {0, label}
        document = answered(f"person={person}", "application/json").json()
        assert document["count"] == 1
        assert document["people"][0]["parts"].keys() == {name}
    answer = answered("person=2&save=cutout", "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        alpha = np.array(Image.open(archive.open("photo.cutout.png")))[..., 3]
    assert alpha[30, 75] == 255
    assert not alpha[:, :50].any()


def test_an_upload_that_breaks_off_is_no_failure(color_parser):
    """Nothing comes out that a server would write into its log."""
    messages = iter([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}])
    sent = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    app = application(RequestQueue({"colors": color_parser}, Limits()), {"colors": None})
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/api/parse", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 400


def test_a_flood_is_answered_or_sent_away_and_nothing_in_between(serving, photo):
    address, _ = serving("--max-waiting", "4")

    async def flood():
        async with httpx.AsyncClient(base_url=address, timeout=60, limits=httpx.Limits(max_connections=40)) as client:
            return await asyncio.gather(*(client.post("/api/parse", content=photo) for _ in range(40)))

    statuses = [answer.status_code for answer in asyncio.run(flood())]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 4
    with httpx.Client(base_url=address) as client:
        assert "ssnan_waiting 0" in client.get("/metrics").text
        assert client.post("/api/parse", content=photo, timeout=30).status_code == 200


def test_options_without_an_effect_are_refused(ask, photo):
    for query, complaint in (("part=hair", "part"), ("parts=hair&parts=face", "parts: expected once, got 2")):
        answer = ask("POST", f"/api/parse?{query}", content=photo)
        assert answer.status_code == 422
        assert complaint in answer.json()["error"]
    for path, complaint in (
        ("/api/labels?labels=atr", "no option 'labels'; expected one of model"),
        ("/api/models?x=1", "no option 'x'; expected none"),
    ):
        answer = ask("GET", path)
        assert answer.status_code == 422
        assert answer.json()["error"] == complaint


def test_no_network_runs_for_clients_that_are_gone(photo, color_parser):
    calls = []
    engine = color_parser.engine
    color_parser.engine = lambda pixels: calls.append(time.sleep(0.5)) or engine(pixels)
    app = application(RequestQueue({"colors": color_parser}, Limits()), {"colors": None})
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/api/parse", "query_string": b"", "headers": headers}

    async def request():
        messages = [{"type": "http.request", "body": photo}]

        async def receive():
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message):
            pass

        await app(scope, receive, send)

    async def flood():
        await asyncio.gather(*(request() for _ in range(6)))

    asyncio.run(flood())
    assert len(calls) == 1  # for the first, whose network began before anybody looked


async def there():
    return False


def test_why_a_model_fails_is_logged(caplog):
    parser = Parser(lambda pixels: np.full((len(pixels), 20, 2, 2), np.nan, np.float32), LIP, Preprocessing())
    queue = RequestQueue({"broken": parser}, Limits())
    with pytest.raises(RefusedError, match="see the log of the service"):
        asyncio.run(queue.parse(encoded(Image.new("RGB", (9, 9))), parser, lambda result: b"", there))
    assert "scores that are not finite" in caplog.text
