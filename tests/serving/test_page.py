"""The page in a real browser. Screenshots are left in build/screenshots."""

import base64
import io
import json
import shutil
import struct
import zlib
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

from serving.conftest import ROOT
from ssnan.io.images import read_rgb
from ssnan.results.result import ParsingResult

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


def shot(page, name):
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def names(page):
    return page.locator("#parts span").all_inner_texts()


def seen(page):
    """Pixels of the picture, uint8 (H, W, 3)."""
    address = page.evaluate("document.querySelector('#view').toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


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
    assert "hat" in page.get_attribute("#view", "aria-label")
    page.uncheck("#names")
    plain = read_rgb(PHOTO).astype(int)
    apart = np.abs(seen(page) - plain).sum(axis=2)
    page.check("#names")
    shot(page, "desktop")
    with page.expect_download() as waiting:
        page.click("#downloads >> text=Map")
    assert waiting.value.suggested_filename == "grace_hopper.png"
    found = ParsingResult.load(downloaded(page, "Map", tmp_path / "map.png"))
    assert found.labels.shape == (600, 512)
    assert found.mask("face")[230, 260]
    assert np.median(apart[found.labels == 0]) < 20 < np.median(apart[found.mask("face")])
    document = json.loads(downloaded(page, "JSON", tmp_path / "x.json").read_text())
    assert document["image"] == "grace_hopper.jpg"
    assert {"hat", "face"} <= document["parts"].keys()
    assert read_rgb(downloaded(page, "Overlay", tmp_path / "o.png")).shape[:2] == (600, 512)
    assert {urlparse(url).netloc for url in page.asked if url.startswith("http")} == {urlparse(address).netloc}


def test_a_part_is_seen_and_cut_out_alone(visit, tmp_path):
    page = visit()
    send(page)
    see(page)
    before = downloaded(page, "Cutout", tmp_path / "all.png")
    page.click("#parts button[value=face]")
    assert page.get_attribute("#parts button[value=face]", "aria-pressed") == "true"
    shot(page, "isolated")
    alone = downloaded(page, "Cutout", tmp_path / "face.png")
    alpha = [np.array(Image.open(io.BytesIO(path.read_bytes())))[..., 3] > 127 for path in (before, alone)]
    assert alpha[1][230, 260]
    assert 0 < alpha[1].sum() < 0.5 * alpha[0].sum()
    labels = ParsingResult.load(downloaded(page, "Map", tmp_path / "map.png")).labels
    assert set(np.unique(labels)) == {0, 13}


def test_a_part_says_its_name_and_size_under_the_pointer(visit):
    page = visit()
    send(page)
    see(page)
    box = page.locator("#view").bounding_box()
    whole = seen(page)
    page.mouse.move(box["x"] + box["width"] * 260 / 512, box["y"] + box["height"] * 230 / 600)
    assert page.inner_text("#here").startswith("face: 1")
    assert "pixels" in page.inner_text("#here")
    alone = seen(page)
    assert (alone[550, 100] != whole[550, 100]).any()  # her uniform
    page.mouse.click(box["x"] + box["width"] * 260 / 512, box["y"] + box["height"] * 230 / 600)
    page.mouse.move(0, 0)
    assert page.inner_text("#here").startswith("face: ")
    assert (seen(page)[550, 100] == alone[550, 100]).all()
    page.click("#parts button[value=face]")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    assert page.inner_text("#here") == ""
    assert (seen(page) == whole).all()
    page.check("#joints")
    assert (seen(page) != whole).any()


def test_the_keyboard_alone(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first example
    see(page)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "face":
            break
    assert page.inner_text("#here").startswith("face: ")
    page.keyboard.press("Space")
    assert page.get_attribute("#parts button[value=face]", "aria-pressed") == "true"
    with page.expect_download():
        page.focus("#downloads button[value=cutout]")
        page.keyboard.press("Enter")


def test_everything_has_a_name(visit, both):
    """For those who hear the page: pictures, fields and buttons."""
    page = visit()
    send(page, both)
    see(page)
    nameless = page.evaluate(
        """[...document.querySelectorAll('img, button, input, select, canvas, ul')].filter((one) => !(
            one.alt || one.ariaHidden || one.ariaLabel || one.textContent.trim() || one.labels?.length
            || one.getAttribute('aria-labelledby') || one.querySelector('img')?.alt)).map((one) => one.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out(visit, both, scheme):
    """WCAG's contrast of 4.5 for every text, computed from the colours that the browser uses."""
    page = visit(color_scheme=scheme)
    send(page, both)
    see(page)
    weak = page.evaluate(
        """() => {
            const levels = (color) => color.match(/[\\d.]+/g).map(Number)
            const light = (color) => levels(color).slice(0, 3).map((one) => one / 255)
                .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
                .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0)
            const ground = (one) => !one ? 'rgb(255, 255, 255)'
                : levels(getComputedStyle(one).backgroundColor)[3] === 0 ? ground(one.parentElement)
                : getComputedStyle(one).backgroundColor
            return [...document.querySelectorAll('body *')].filter((one) => one.offsetParent
                && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())).map((one) => {
                const [dark, bright] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => a - b)
                return [one.outerHTML.slice(0, 60), (bright + 0.05) / (dark + 0.05)]
            }).filter(([, contrast]) => contrast < 4.5)
        }"""
    )
    assert weak == []


def test_a_wrong_file_is_called_what_it_is(visit, tmp_path):
    page = visit()
    (tmp_path / "letter.png").write_text("Dear Sir or Madam")
    send(page, tmp_path / "letter.png")
    page.wait_for_selector("#notice >> text=not an image in a known format", timeout=30_000)
    assert str(tmp_path) not in page.content()
    shot(page, "wrong")
    send(page)
    see(page)
    assert not page.locator("#notice >> text=not an image").count()


def test_a_name_is_no_part_of_the_page(visit, tmp_path):
    page = visit()
    name = "<img src=x onerror=alert(1)>.png"
    (tmp_path / name).write_bytes(b"nothing")
    send(page, tmp_path / name)
    page.wait_for_selector("#notice p", timeout=30_000)
    assert name in page.inner_text("#notice")
    assert not page.locator("#notice img").count()


def test_nobody_is_found(visit, tmp_path):
    page = visit()
    Image.new("RGB", (40, 30), "white").save(tmp_path / "white.png")
    send(page, tmp_path / "white.png")
    page.wait_for_selector("#which >> text=Nobody found", timeout=30_000)


def click_at(page, x, y):
    """Clicks the photo at shares of its size."""
    box = page.locator("#view").bounding_box()
    page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


def pressed(page):
    return page.locator("#people button[aria-pressed=true]").inner_text().strip()


def test_a_person_is_clicked_and_taken_away_alone(visit, both, tmp_path):
    page = visit()
    send(page, both)
    see(page)
    assert page.inner_text("#count") == "2 people"
    assert pressed(page) == "Everybody"
    shot(page, "people")
    whole, all_parts = seen(page).astype(int), page.inner_text("#parts button[value=face] small")
    click_at(page, 730 / 1024, 365 / 600)  # the face of the smaller one
    page.mouse.move(0, 0)
    assert pressed(page) == "Person 2"
    assert page.inner_text("#which").startswith("Parts of person 2")
    assert page.get_attribute("#view", "aria-label").startswith("both.png, person 2 with its parts: ")
    assert page.inner_text("#parts button[value=face] small") != all_parts
    alone = seen(page).astype(int)
    assert alone[:, :500].sum() < 0.5 * whole[:, :500].sum()  # the other is dimmed
    shot(page, "person")
    with page.expect_download() as waiting:
        page.click("#downloads >> text=Cutout")
    assert waiting.value.suggested_filename == "both.person2.cutout.png"
    waiting.value.save_as(tmp_path / "cutout.png")
    alpha = np.array(Image.open(tmp_path / "cutout.png"))[..., 3]
    assert not alpha[:, :500].any()
    assert alpha[365, 730] == 255
    labels = ParsingResult.load(downloaded(page, "Map", tmp_path / "map.png")).labels
    assert not labels[:, :500].any()
    assert labels[365, 730] == 13
    assert json.loads(downloaded(page, "JSON", tmp_path / "x.json").read_text())["count"] == 1
    click_at(page, 730 / 1024, 365 / 600)  # now a part of hers
    assert page.get_attribute("#parts button[value=face]", "aria-pressed") == "true"
    click_at(page, 560 / 1024, 20 / 600)  # beside both
    assert pressed(page) == "Everybody"
    page.mouse.move(0, 0)
    assert (seen(page) == whole).all()


def test_a_person_is_chosen_with_the_keyboard(visit, both):
    page = visit()
    send(page, both)
    see(page)
    before = seen(page)
    page.focus("#people button[value='1']")
    assert (seen(page) != before).any()  # an outline
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert pressed(page) == "Person 2"
    assert page.evaluate("document.activeElement.value") == "2"
    assert page.inner_text("#save") == "Save person 2"
    send(page)  # another photo, while a button of this one has the focus
    page.wait_for_selector("#save:text-is('Save')", timeout=30_000)
    assert not page.is_visible("#people")


def test_no_name_is_written_over_another(visit, both):
    page = visit(390, 844)
    page.evaluate(
        """() => {
            window.written = []
            const write = CanvasRenderingContext2D.prototype.fillText
            CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
                window.written.push([text, x, y, this.measureText(text).width / 2, parseFloat(this.font.split(' ')[1])])
                write.call(this, text, x, y)
            }
        }"""
    )
    send(page, both)
    see(page)
    page.click("#people button[value='2']")
    page.mouse.move(0, 0)
    page.evaluate("window.written = []; document.activeElement.blur()")
    written = page.evaluate("window.written")
    assert len(written) > 1
    for number, (_, x, y, half, size) in enumerate(written):
        for _, u, v, other, _ in written[:number]:
            assert abs(x - u) >= half + other or abs(y - v) >= size


def test_a_photo_that_the_browser_cannot_show(visit, tmp_path):
    page = visit()
    Image.open(PHOTO).save(tmp_path / "photo.tif")
    send(page, tmp_path / "photo.tif")
    see(page)
    assert "photo.tif: this browser cannot show it" in page.inner_text("#notice")


def test_an_example_is_a_click_away(visit):
    page = visit()
    page.click("#examples img >> nth=1")
    see(page)
    assert "hair" in names(page)


def transfer(page, event, target):
    """A photo that is dropped or pasted."""
    content = base64.b64encode(PHOTO.read_bytes()).decode()
    page.evaluate(
        """([event, target, content]) => {
            const data = new DataTransfer()
            data.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], 'x.jpg'))
            const made = event === 'paste' ? new ClipboardEvent('paste', {clipboardData: data, bubbles: true})
                : new DragEvent(event, {dataTransfer: data, bubbles: true, cancelable: true})
            document.querySelector(target).dispatchEvent(made)
        }""",
        [event, target, content],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_photo_is_dropped_or_pasted_anywhere(visit, event):
    page = visit()
    transfer(page, event, "h1")
    see(page)
    assert "face" in names(page)


def test_several_photos_and_one_that_is_none(visit, tmp_path):
    page = visit()
    (tmp_path / "none.jpg").write_bytes(b"nothing")
    send(page, PHOTO, tmp_path / "none.jpg", ROOT / "examples" / "camera.png")
    page.wait_for_selector("#notice >> text=none.jpg: the file: not an image", timeout=30_000)
    page.wait_for_selector("#photos li:nth-child(2) img", timeout=30_000)
    assert "hat" in names(page)
    page.click("#photos img[alt='camera.png']")
    assert page.get_attribute("#photos button[aria-current=true] img", "alt") == "camera.png"
    assert page.get_attribute("#view", "aria-label").startswith("camera.png")
    shot(page, "several")


def test_a_model_is_chosen_where_there_are_several(visit):
    page = visit()
    assert not page.is_visible("#model")
    two = json.dumps([{"name": "small"}, {"name": "large & slow"}])
    page.route("**/api/models", lambda route: route.fulfill(body=two, content_type="application/json"))
    page.reload()
    page.select_option("#model", "large & slow")
    send(page)
    page.wait_for_selector("#notice >> text=no model 'large & slow'; expected one of small", timeout=30_000)


def test_a_phone_s_width_and_the_dark(visit):
    page = visit(390, 844, has_touch=True)
    send(page)
    see(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    drop, view = (page.locator(place).bounding_box() for place in ("#drop", "#view"))
    assert view["y"] > drop["y"] + drop["height"]
    assert min(drop["width"], view["width"]) > 300
    assert 0 <= view["y"] <= 844 - view["height"] + 1  # it has been scrolled to
    page.tap("#view", position={"x": view["width"] / 2, "y": view["height"] * 230 / 600})
    assert page.inner_text("#here").startswith("face: ")
    shot(page, "phone")
    page.tap("#parts button >> nth=-1")
    view, button = (page.locator(place).bounding_box() for place in ("#view", "#parts button >> nth=-1"))
    assert 0 <= view["y"] <= button["y"] - view["height"]  # it stays in sight above what is chosen
    page = visit(color_scheme="dark")
    send(page)
    see(page)
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, shade.removeprefix("rgb(").removesuffix(")").split(",")[:3])) < 80
    shot(page, "dark")


def test_a_map_is_read_whichever_way_it_is_packed(visit):
    """PNG's five filters, one a row in turn, against the labels that went in."""
    labels = np.random.default_rng(0).integers(0, 20, (23, 37), dtype=np.uint8)
    rows = b""
    for y, row in enumerate(labels.astype(int)):
        up = labels[y - 1].astype(int) if y else np.zeros(37, int)
        left, corner = np.append(0, row[:-1]), np.append(0, up[:-1])
        base = left + up - corner
        a, b, c = abs(base - left), abs(base - up), abs(base - corner)
        paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, up, corner))
        guess = (0 * row, left, up, (left + up) // 2, paeth)[y % 5]
        rows += bytes([y % 5]) + ((row - guess) % 256).astype(np.uint8).tobytes()

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packed = zlib.compress(rows)
    header = struct.pack(">IIBBBBB", 37, 23, 8, 3, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", bytes(768))
    png += chunk(b"IDAT", packed[:50]) + chunk(b"IDAT", packed[50:]) + chunk(b"IEND", b"")
    assert (np.array(Image.open(io.BytesIO(png))) == labels).all()
    page = visit()
    for width, height in ((37, 23), (12, 9)):
        read = page.evaluate(
            "async ([png, ...size]) => [...await (await import('/page.js')).labels(new Uint8Array(png), ...size)]",
            [list(png), width, height],
        )
        sampled = [((np.arange(new) + 0.5) * old / new).astype(int) for new, old in ((height, 23), (width, 37))]
        np.testing.assert_array_equal(np.reshape(read, (height, width)), labels[np.ix_(*sampled)])


def test_the_service_s_own_page(visit, address):
    page = visit(path="/docs")
    page.wait_for_selector("#service .opblock-post", timeout=30_000)
    shot(page, "docs")
    assert {urlparse(url).netloc for url in page.asked if url.startswith("http")} == {urlparse(address).netloc}
