"""The page in a real browser. Screenshots are left in build/screenshots."""

import base64
import io
import json
import struct
import zlib
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

from browser import PHOTO, ROOT, needs_chromium, shot
from serving.conftest import downloaded, see, seen, send
from ssnan.io.images import read_rgb
from ssnan.results.result import ParsingResult

pytestmark = needs_chromium


def names(page):
    return page.locator("#parts span").all_inner_texts()


def test_a_photo_is_parsed_and_taken_away(visit, address, tmp_path):
    page = visit()
    send(page)
    see(page)
    assert {"hat", "face"} <= set(names(page))
    assert "hat" in page.get_attribute("#view", "aria-label")
    page.uncheck("#names")
    plain = read_rgb(PHOTO).astype(int)
    view = np.asarray(Image.fromarray(seen(page)).resize((512, 600)))  # it is enlarged
    apart = np.abs(view - plain).sum(axis=2)
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


def test_a_folder_is_told_to_be_one(visit):
    page = visit()
    page.evaluate(
        """() => document.ondrop({
            preventDefault: () => {},
            dataTransfer: {
                files: [new File([], "holiday")],
                items: [{webkitGetAsEntry: () => ({isDirectory: true, name: "holiday"})}],
            },
        })"""
    )
    page.wait_for_selector("#notice >> text=holiday is a folder; drop the photos in it", timeout=30_000)


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
    (tmp_path / "empty.jpg").touch()
    send(page, PHOTO, tmp_path / "none.jpg", tmp_path / "empty.jpg", ROOT / "examples" / "camera.png")
    page.wait_for_selector("#notice >> text=none.jpg: not an image", timeout=30_000)
    page.wait_for_selector("#notice >> text=empty.jpg: expected a photo, got an empty file", timeout=30_000)
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


def test_a_small_photo_is_enlarged(visit, tmp_path):
    page = visit()
    Image.open(PHOTO).resize((128, 150)).save(tmp_path / "small.png")
    send(page, tmp_path / "small.png")
    see(page)
    view = page.locator("#view").bounding_box()
    assert view["height"] == pytest.approx(600, abs=1)  # of a window of 1000
    page.mouse.move(view["x"] + view["width"] * 260 / 512, view["y"] + view["height"] * 230 / 600)
    assert page.inner_text("#here").startswith("face: ")


def test_a_phone_s_width_and_the_dark(visit):
    page = visit(390, 844, has_touch=True, is_mobile=True)
    assert not page.is_visible("#drop span")  # nothing can be dropped
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
    assert page.evaluate("[4, innerWidth - 4].every((x) => document.elementFromPoint(x, 20).closest('#stage'))")
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
