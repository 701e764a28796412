import asyncio
import io
import json
import threading
import zipfile
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image

from ssnan.parsing.document import __file__ as document_file
from ssnan.serving.answers import chosen
from ssnan.serving.api import application
from ssnan.serving.limits import Limits, RefusedError
from ssnan.serving.service import Service


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
    """One request of a service of its own; limits and the parser may be changed."""

    def ask(method, path, limits=Limits(), parser=color_parser, **request):  # noqa: B008
        async def asked():
            app = application(Service({"colors": parser}, limits), {"colors": None})
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **request)

        return asyncio.run(asked())

    return ask


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
        ("/api/parse", lambda photo: {"content": b"no picture"}, Limits(), 415, "not a picture"),
        ("/api/parse", lambda photo: {"content": photo[:-40]}, Limits(), 422, "truncated"),
        ("/api/parse", lambda photo: {"content": b""}, Limits(), 422, "expected a picture"),
        ("/api/parse", form_without_image, Limits(), 422, "field 'image'"),
        ("/api/parse", lambda photo: {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, Limits(),
         422, "form"),
        ("/api/parse", lambda photo: {"content": photo}, Limits(upload_bytes=10), 413, "MB"),
        ("/api/parse", lambda photo: {"files": {"image": photo}}, Limits(upload_bytes=10), 413, "MB"),
        ("/api/parse", lambda photo: {"content": photo}, Limits(pixels=100), 413, "pixels"),
        ("/api/parse", lambda photo: {"content": photo}, Limits(waiting=0), 429, "busy"),
        ("/api/parse?parts=hare", lambda photo: {"content": photo}, Limits(), 422, "did you mean 'hair'"),
        ("/api/parse?model=big", lambda photo: {"content": photo}, Limits(), 422, "there are colors"),
        ("/api/parse?labels=/etc/x.yaml", lambda photo: {"content": photo}, Limits(), 422, "there are atr"),
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
    assert ask("GET", "/api/nothing").json() == {"error": "Not Found"}
    assert ask("GET", "/api/parse").status_code == 405


def test_the_api_s_page_loads_nothing_from_elsewhere(ask):
    answer = ask("GET", "/docs")
    assert "http://" not in answer.text.replace("http://test", "")
    assert "https://" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


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
    ],
)
def test_what_is_preferred(accept, kind):
    assert chosen(accept) == kind


def test_nothing_that_is_accepted():
    with pytest.raises(RefusedError, match="application/json"):
        chosen("image/png;q=0, text/html;q=x")


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
