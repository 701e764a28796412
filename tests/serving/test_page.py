"""The page in a real browser. Screenshots are left in build/screenshots."""

import io
import json
import shutil
from contextlib import contextmanager
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

from serving.conftest import ROOT
from ssnan.parsing.images import read_rgb
from ssnan.parsing.result import ParsingResult

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
PHOTO = ROOT / "examples" / "grace_hopper.jpg"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt install chromium")


@pytest.fixture(scope="module")
def address(serving):
    return serving()[0]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page in a window of its own; every request is noted."""
    contexts = []

    def visit(width=1280, height=1000, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(address)
        page.wait_for_selector("#photo input[type=file]", state="attached", timeout=30_000)
        return page

    yield visit
    for context in contexts:
        context.close()


def send(page, photo=PHOTO):
    page.set_input_files("#photo input[type=file]", photo)


def see(page):
    page.wait_for_selector("#parts table", timeout=30_000)
    page.wait_for_function("document.querySelectorAll('#downloads button:not([disabled])').length == 4", timeout=20_000)


@contextmanager
def rewritten(page):
    """What is done inside takes the files behind the buttons away; waits until there are new ones."""
    page.evaluate(
        """() => {
            window.taken = false
            const buttons = document.querySelector('#downloads')
            new MutationObserver(() => { window.taken ||= !!buttons.querySelector('button[disabled]') })
                .observe(buttons, {subtree: true, childList: true, attributes: true})
        }"""
    )
    yield
    page.wait_for_function("window.taken", timeout=20_000)
    see(page)


def shot(page, name):
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def names(page):
    return [
        one.strip() for one in page.locator("#parsed button, #parsed .legend-item").all_inner_texts() if one.strip()
    ]


def downloaded(page, label, path):
    with page.expect_download() as waiting:
        page.click(f"#downloads >> text={label}")
    waiting.value.save_as(path)
    return path


def test_a_photo_is_parsed_and_taken_away(visit, address, tmp_path):
    page = visit()
    send(page)
    see(page)
    assert {"hat", "face"} <= set(names(page))
    shot(page, "desktop")
    found = ParsingResult.load(downloaded(page, "Map", tmp_path / "map.png"))
    assert found.labels.shape == (600, 512)
    assert found.mask("face")[230, 260]
    document = json.loads(downloaded(page, "JSON", tmp_path / "x.json").read_text())
    assert document["image"] == "grace_hopper"
    assert {"hat", "face"} <= document["parts"].keys()
    assert read_rgb(downloaded(page, "Overlay", tmp_path / "o.png")).shape[1] > 1024
    for tab in ("Joints", "Confidence"):
        page.click(f"#views >> role=tab[name='{tab}']")
        page.wait_for_selector(f"#{tab.lower()} img", timeout=10_000)
    assert {urlparse(url).netloc for url in page.asked if url.startswith("http")} == {urlparse(address).netloc}


def test_a_part_is_seen_and_cut_out_alone(visit, tmp_path):
    page = visit()
    send(page)
    see(page)
    before = downloaded(page, "Cut-out", tmp_path / "all.png")
    with rewritten(page):
        page.click("#parsed >> text=face")
    page.wait_for_selector("#chosen >> text=face", timeout=10_000)
    shot(page, "isolated")
    alone = downloaded(page, "Cut-out", tmp_path / "face.png")
    alpha = [np.array(Image.open(io.BytesIO(path.read_bytes())))[..., 3] > 127 for path in (before, alone)]
    assert alpha[1][230, 260]
    assert 0 < alpha[1].sum() < 0.5 * alpha[0].sum()


def test_a_part_stands_out_while_the_pointer_is_on_its_name(visit):
    page = visit()
    send(page)
    see(page)
    masks = page.locator("#parsed img.mask")

    def seen():
        return sum(float(masks.nth(i).evaluate("one => getComputedStyle(one).opacity")) > 0.5 for i in range(count))

    count = masks.count()
    assert seen() == count > 2
    page.hover("#parsed >> text=face")
    page.wait_for_timeout(500)  # it fades
    assert seen() == 1


def test_a_wrong_file_is_called_what_it_is(visit, tmp_path):
    page = visit()
    (tmp_path / "letter.png").write_text("Dear Sir or Madam")
    send(page, tmp_path / "letter.png")
    page.wait_for_selector("#notice >> text=not a picture in a format that can be read", timeout=30_000)
    assert str(tmp_path) not in page.content()
    shot(page, "wrong")
    page.click("#photo button[aria-label='Remove Image']")
    send(page)
    see(page)
    assert not page.locator("#notice >> text=not a picture").count()


def test_an_example_is_a_click_away(visit):
    page = visit()
    page.click("#examples img >> nth=0")
    see(page)
    assert "hair" in names(page)


def test_several_photos_and_one_that_is_none(visit, tmp_path):
    page = visit()
    (tmp_path / "none.jpg").write_bytes(b"nothing")
    page.click("#several button")
    page.set_input_files("#several input[type=file]", [PHOTO, tmp_path / "none.jpg", ROOT / "examples" / "camera.png"])
    page.wait_for_selector("#several >> text=none.jpg: the file: not a picture", timeout=30_000)
    page.wait_for_function("document.querySelectorAll('#several img').length >= 2", timeout=30_000)
    shot(page, "several")


def test_a_phone_s_width_and_the_dark(visit):
    page = visit(390, 844)
    send(page)
    see(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    photo, parsed = (page.locator(place).bounding_box() for place in ("#photo", "#parsed"))
    assert parsed["y"] > photo["y"] + photo["height"]
    assert min(photo["width"], parsed["width"]) > 300
    shot(page, "phone")
    page = visit(color_scheme="dark")
    send(page)
    see(page)
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, shade.removeprefix("rgb(").removesuffix(")").split(",")[:3])) < 80
    shot(page, "dark")


def test_a_word_from_elsewhere_reads_no_file():
    """What a browser never sends: the path of a file of this machine."""
    from ssnan.serving.limits import RefusedError
    from ssnan.serving.page import _sent

    for path in (str(PHOTO), "/etc/passwd", "../x", "", None):
        with pytest.raises(RefusedError, match="did not arrive"):
            _sent({"path": path})
