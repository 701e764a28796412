"""The built page in a real browser, from a host that sends no headers of its own."""

import functools
import http.server
import io
import shutil
import subprocess
import threading
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image, ImageCms

import ssnan
from browser import PHOTO, ROOT, needs_chromium, opened_browser, shot  # noqa: F401
from ssnan.io.images import read_rgb
from ssnan.parsing.card import find_card
from ssnan.parsing.parser import Parser
from ssnan.results.result import ParsingResult
from ssnan.scores.grouping import grouped
from ssnan.scores.unsure import without_unsure_people
from ssnan.scores.upsampling import labels_at

BUILT = ROOT / "web" / "dist"
MOST_BYTES = 15_000_000
WAIT = 180_000
"""Milliseconds: a busy machine is no failure."""

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not BUILT.is_dir(), reason="web/dist is not built, which needs npm; make web"),
]


class Host(http.server.ThreadingHTTPServer):
    """A static host; what it was asked for and how many bytes it sent are noted."""

    def __init__(self):
        self.asked, self.sent = [], 0
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=BUILT))
        self.address = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.SimpleHTTPRequestHandler):
    def copyfile(self, source, outputfile):
        content = source.read()
        self.server.sent += len(content)
        outputfile.write(content)

    def log_message(self, *_):
        self.server.asked.append(self.path)


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


@pytest.fixture
def visit(browser, host):
    """Opens the page and waits for its engine; nothing may go wrong in it, and no other host may be asked."""
    contexts, wrong = [], []

    def visit(width=1280, height=1000, broken=None, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        if broken is not None:
            context.route(broken, lambda route: route.fulfill(body=b"broken"))
        page = context.new_page()
        context.on("request", lambda request: wrong.append(request.url) if is_elsewhere(request.url, host) else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(host.address)
        loaded(page)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def is_elsewhere(url, host):
    return urlparse(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(host.address)


def loaded(page):
    page.wait_for_selector("#engine:has-text('Engine: ')", timeout=WAIT)


def parsed(page, *photos):
    page.set_input_files("#file", photos or PHOTO)
    page.wait_for_selector("#result:not([hidden])", timeout=WAIT)


def saved(page, label, path):
    with page.expect_download(timeout=WAIT) as waiting:
        page.click(f"#downloads >> text={label}")
    waiting.value.save_as(path)
    return path


def ten_photos(folder):
    """The example photos, and seven made of them: other sizes, proportions, turns, modes."""
    hopper, astronaut, camera = (Image.fromarray(read_rgb(ROOT / "examples" / name))
                                 for name in ("grace_hopper.jpg", "astronaut.png", "camera.png"))  # fmt: skip
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = astronaut.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    made = {
        "small.png": astronaut.resize((90, 70)),
        "wide.png": camera.crop((0, 100, 512, 330)),
        "tall.png": hopper.crop((150, 0, 380, 600)),
        "large.png": hopper.resize((1999, 2343)),
        "mirrored.png": astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "clear.png": clear,
        "turned.jpg": hopper.transpose(Image.Transpose.ROTATE_90),
    }
    for name, image in made.items():
        image.save(folder / name, **({"exif": turned, "quality": 95} if name == "turned.jpg" else {}))
    return [*sorted(ROOT.glob("examples/*.[jp][pn]g")), *(folder / name for name in made)]


def test_ten_photos_get_the_maps_that_python_gives_them(visit, tmp_path):
    """Each engine rounds the 8-bit network in its own way: ONNX Runtime of Python, with and without its own
    optimisations, differs from itself in 0.6 % of a photo's pixels. What surrounds the network is equal, see below."""
    page = visit()
    parser = Parser.of_card(find_card("small"), "onnxruntime", threads=2)
    photos, equal = ten_photos(tmp_path), {}
    assert len(photos) == 10
    for photo in photos:
        parsed(page, photo)
        page.wait_for_selector(f"#photos img[alt='{photo.name}']", state="attached", timeout=WAIT)
        found = ParsingResult.from_png(saved(page, "Map", tmp_path / "map.png"), parser.label_set).labels
        wanted = parser(photo).labels
        assert found.shape == wanted.shape
        equal[photo.name] = float((found == wanted).mean())
    assert np.mean(list(equal.values())) >= 0.995, equal
    assert min(equal.values()) >= 0.99, equal
    print(f"equal pixels: {np.mean(list(equal.values())):.4%} on average, {min(equal.values()):.4%} at worst")


ARITHMETIC = """
import {readFileSync, writeFileSync} from "node:fs"
import {inputSize, labelsAt, normalised, resizedPixels} from "%s"
const [height, width, c, h, w] = %s, rgba = readFileSync("rgba"), size = inputSize(height, width)
const rows = (top, end) => rgba.subarray(top * width * 4, end * width * 4)
const pixels = normalised(resizedPixels(rows, height, width, ...size))
writeFileSync("pixels", Buffer.from(pixels.buffer))
const scores = {data: new Float32Array(new Uint8Array(readFileSync("scores")).buffer), dims: [1, c, h, w]}
writeFileSync("labels", labelsAt(scores, height, width))
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
@pytest.mark.parametrize(("height", "width"), [(613, 401), (70, 90), (1500, 2111), (30, 700)])
def test_what_surrounds_the_network_computes_as_python_does(height, width, tmp_path):
    card, random = find_card("small"), np.random.default_rng(height)
    rgba = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    rows, columns = (side // 4 + 1 for side in card.preprocessing.size(height, width))
    scores = random.normal(size=(len(card.label_set), rows, columns)).astype(np.float32)
    (tmp_path / "rgba").write_bytes(rgba.tobytes())
    (tmp_path / "scores").write_bytes(scores.tobytes())
    program = ARITHMETIC % ((ROOT / "web" / "arithmetic.js").as_uri(), [height, width, *scores.shape])
    subprocess.run(["node", "--input-type=module", "--eval", program], cwd=tmp_path, check=True)
    pixels, labels = np.fromfile(tmp_path / "pixels", np.float32), np.fromfile(tmp_path / "labels", np.uint8)
    assert (pixels == card.preprocessing(rgba[..., :3]).ravel()).all()
    assert (labels == labels_at(scores, height, width).ravel()).mean() > 0.9999


UNSURE = """
import {readFileSync, writeFileSync} from "node:fs"
import {withoutUnsurePeople} from "%s"
const data = new Float32Array(new Uint8Array(readFileSync("scores")).buffer)
writeFileSync("emptied", Buffer.from(withoutUnsurePeople({data, dims: %s}).data.buffer))
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
@pytest.mark.parametrize(("hair", "kept"), [(0.5, False), (9.0, True)])
def test_unsure_people_are_left_out_as_python_leaves_them_out(hair, kept, tmp_path):
    card = find_card("small")
    scores = np.random.default_rng(0).normal(-20, 1, (len(card.label_set), 9, 7)).astype(np.float32)
    scores[0], scores[2, :, :3] = 0, hair
    (tmp_path / "scores").write_bytes(scores.tobytes())
    program = UNSURE % ((ROOT / "web" / "arithmetic.js").as_uri(), [1, *scores.shape])
    subprocess.run(["node", "--input-type=module", "--eval", program], cwd=tmp_path, check=True)
    emptied = np.fromfile(tmp_path / "emptied", np.float32).reshape(scores.shape)
    np.testing.assert_allclose(emptied, without_unsure_people(scores, card.label_set, card.min_person_confidence))
    assert (emptied.argmax(axis=0) == 2).any() == kept


PEOPLE = """
import {readFileSync, writeFileSync} from "node:fs"
import {grouped} from "%s"
const data = new Float32Array(readFileSync("maps").buffer.slice(0))
writeFileSync("numbers", grouped({data, dims: %s}, readFileSync("labels"), %s))
"""


def figures(seed, count, doubt):
    """A label map of people who touch or hide each other, with specks, and what an instance head that errs returns."""
    random, labels = np.random.default_rng(seed), np.zeros((90, 140), dtype=np.uint8)
    maps = random.normal(0, doubt, (3, 23, 36)).astype(np.float32)
    maps[0] -= 4
    rows, columns = np.mgrid[:23, :36]
    for _ in range(count):
        x, y, size = random.integers(0, 120), random.integers(0, 40), random.integers(6, 20)
        labels[y + size // 3 : y + 2 * size, x : x + size] = 5
        labels[y + 2 * size + 2 : y + 3 * size, x : x + size // 2] = 9
        cell_y, cell_x = y // 4, min(35, (x + size // 2) // 4)
        maps[0, cell_y, cell_x] += 5
        maps[0, cell_y, max(0, cell_x - 3)] += 4  # a second peak, perhaps in the same head
        labels[y : y + size // 3, x + size // 4 : x + size // 2] = 13
        own = np.s_[y // 4 : (y + 3 * size) // 4 + 1, x // 4 : (x + size) // 4 + 1]
        maps[1][own] += cell_y - rows[own]
        maps[2][own] += cell_x - columns[own]
    labels[random.random(labels.shape) < 0.004] = 14
    return labels, maps


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
@pytest.mark.parametrize("doubt", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_people_are_told_apart_as_python_tells_them_apart(count, doubt, tmp_path):
    labels, maps = figures(count, count, doubt)
    (tmp_path / "labels").write_bytes(labels.tobytes())
    (tmp_path / "maps").write_bytes(maps.tobytes())
    program = PEOPLE % ((ROOT / "web" / "people.js").as_uri(), [1, *maps.shape], labels.shape[1])
    subprocess.run(["node", "--input-type=module", "--eval", program], cwd=tmp_path, check=True)
    found = np.fromfile(tmp_path / "numbers", np.uint8).reshape(labels.shape)
    wanted = grouped(maps, labels, find_card("small").label_set)
    assert wanted.max() >= min(count, 2)
    assert (found == wanted).mean() >= 0.999  # they round at other places


def test_a_person_is_clicked_and_cut_out_alone(visit, tmp_path):
    photo = Image.open(PHOTO)
    both = Image.new("RGB", (photo.width + 256, photo.height), "white")
    both.paste(photo, (0, 0))
    both.paste(photo.resize((256, 300)), (photo.width, 250))
    both.save(tmp_path / "both.png")
    page = visit()
    parsed(page, tmp_path / "both.png")
    assert page.inner_text("#count") == "2 people"
    box = page.locator("#view").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 640 / 768, box["y"] + box["height"] * 365 / 600)
    assert page.locator("#people button[aria-pressed=true]").inner_text().strip() == "Person 2"
    alpha = np.array(Image.open(saved(page, "Cutout", tmp_path / "cutout.png")))[..., 3]
    wanted = np.array(ssnan.load(engine="onnxruntime")(tmp_path / "both.png").person(1).cutout())[..., 3]
    assert np.abs(alpha.astype(int) - wanted).mean() < 1
    assert not alpha[:, :400].any()
    labels = np.array(Image.open(saved(page, "Map", tmp_path / "map.png")))
    assert not labels[:, :400].any()
    assert labels[365, 640] == 13
    overlay = read_rgb(saved(page, "Overlay", tmp_path / "overlay.png"))
    assert np.abs(overlay[:, :400].astype(int) - read_rgb(tmp_path / "both.png")[:, :400]).mean() < 1
    page.click("#people button >> nth=0")
    assert page.inner_text("#save") == "Save"


def test_a_photo_never_leaves_and_nothing_is_asked_for_after_loading(visit, host, tmp_path):
    page = visit()
    page.wait_for_load_state("networkidle")
    asked = host.asked.copy()
    parsed(page)
    for label in ("Map", "Overlay", "Cutout"):
        saved(page, label, tmp_path / f"{label}.png")
    # The browser itself, not the page, looks whether there is a newer service worker, some time after loading.
    assert [path for path in host.asked if path != "/sw.js"] == [path for path in asked if path != "/sw.js"]
    assert host.sent <= MOST_BYTES


def test_works_without_the_host_after_the_first_visit(visit, host):
    page = visit()
    host.close()
    page.reload()
    loaded(page)
    page.click("#examples button >> nth=1")
    page.wait_for_selector("#parts button[value=face]", timeout=WAIT)


def test_runs_threads_on_a_host_that_sends_no_headers(visit):
    page = visit()
    assert page.evaluate("crossOriginIsolated")
    assert page.inner_text("#engine").startswith("Engine: WASM, ")
    assert page.inner_text("#engine").endswith(" threads")


def test_one_thread_does_without_the_service_worker(visit):
    page = visit(service_workers="block")
    assert page.inner_text("#engine") == "Engine: WASM, one thread"
    parsed(page)
    assert "face" in page.locator("#parts span").all_inner_texts()


def test_the_policy_allows_no_other_host(visit):
    page = visit()
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "*" not in policy


def test_a_part_is_seen_and_cut_out_alone(visit, tmp_path):
    page = visit()
    parsed(page)
    shot(page, "web-desktop")
    view = page.evaluate("document.querySelector('#view').toDataURL()")
    page.uncheck("#names")
    assert page.evaluate("document.querySelector('#view').toDataURL()") != view
    box = page.locator("#view").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 260 / 512, box["y"] + box["height"] * 230 / 600)
    assert page.inner_text("#here").startswith("face: ")
    assert page.get_attribute("#parts button[value=face]", "aria-pressed") == "true"
    shot(page, "web-isolated")
    alpha = np.array(Image.open(saved(page, "Cutout", tmp_path / "face.png")))[..., 3]
    result = ssnan.load(engine="onnxruntime")(PHOTO)
    wanted = np.array(result.cutout("face"))[..., 3]
    assert np.abs(alpha.astype(int) - wanted).mean() < 1
    overlay = read_rgb(saved(page, "Overlay", tmp_path / "overlay.png"))
    assert overlay.shape == (600, 512, 3)
    elsewhere = ~result.mask("face")
    assert np.abs(overlay[elsewhere].astype(int) - result.photo[elsewhere]).mean() < 1
    labels = np.array(Image.open(io.BytesIO(saved(page, "Map", tmp_path / "map.png").read_bytes())))
    assert set(np.unique(labels)) == {0, 13}


def test_colours_are_brought_to_srgb(visit, tmp_path):
    """As the package does: by an ICC profile, here sRGB's with red and green exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    Image.fromarray(read_rgb(PHOTO)).save(tmp_path / "p.png", icc_profile=profile)
    page = visit()
    parsed(page, tmp_path / "p.png")
    cutout = np.array(Image.open(saved(page, "Cutout", tmp_path / "cutout.png"))).astype(int)
    solid = cutout[..., 3] == 255
    assert solid.mean() > 0.1
    assert np.abs(cutout[solid, :3] - read_rgb(tmp_path / "p.png")[solid]).mean() < 2


def test_several_photos_and_one_that_is_none(visit, tmp_path):
    page = visit()
    (tmp_path / "notes.jpg").write_text("no photo")
    parsed(page, PHOTO, tmp_path / "notes.jpg", ROOT / "examples" / "camera.png")
    page.wait_for_selector("#photos li:nth-child(2)", timeout=WAIT)
    assert page.inner_text("#notice").startswith("notes.jpg: expected a photo that this browser can open")
    page.click("#photos button >> nth=1")
    assert page.get_attribute("#view", "aria-label").startswith("camera.png with its parts: ")


def test_an_engine_that_does_not_start_says_so_for_every_photo(visit):
    page = visit(broken="**/model-*.bin", service_workers="block")
    assert page.inner_text("#engine") == "Engine: none"
    assert page.inner_text("#notice").startswith("The engine does not start: ")
    page.set_input_files("#file", PHOTO)
    page.wait_for_selector("#notice:has-text('grace_hopper.jpg: The engine does not start: ')", timeout=WAIT)
    assert page.inner_text("#empty") == "The photo and its parts appear here."


def test_another_photo_takes_the_place_of_one_that_is_being_parsed(visit):
    page = visit()
    page.set_input_files("#file", ROOT / "examples" / "camera.png")
    parsed(page, PHOTO)
    assert page.locator("#photos img").evaluate_all("images => images.map(({alt}) => alt)") == ["grace_hopper.jpg"]
    assert page.inner_text("#notice") == ""


def test_an_overlay_has_the_parts_of_the_click_and_not_of_later_ones(visit, tmp_path):
    page = visit()
    parsed(page)
    whole = read_rgb(saved(page, "Overlay", tmp_path / "whole.png"))
    with page.expect_download(timeout=WAIT) as waiting:
        page.evaluate("['overlay', 'hair'].map((value) => document.querySelector(`button[value=${value}]`).click())")
    waiting.value.save_as(tmp_path / "again.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "again.png"), whole)


NO_PERMISSION = """void (navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException("Denied", "NotAllowedError")
})"""
NO_HTTPS = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"


@pytest.mark.parametrize(
    ("without", "notice"),
    [
        (NO_PERMISSION, "No camera: Denied; allow this page to use one"),
        (NO_HTTPS, "No camera: a browser gives one to an https address alone"),
    ],
    ids=["permission", "https"],
)
def test_a_camera_that_is_not_given_is_said_in_words(visit, without, notice):
    page = visit()
    page.evaluate(without)
    page.click("#camera")
    page.wait_for_selector("#notice p", timeout=WAIT)
    assert page.inner_text("#notice") == notice
    assert page.inner_text("#camera") == "Live camera"
    assert page.get_attribute("#camera", "aria-pressed") == "false"


def test_the_camera_says_its_frame_rate_and_stops(visit):
    page = visit(permissions=["camera"])
    page.click("#camera")
    page.wait_for_selector("#camera:has-text('frames a second')", timeout=WAIT)
    assert page.is_visible("#view")
    page.click("#camera")
    assert page.inner_text("#camera") == "Live camera"


@pytest.mark.parametrize(
    ("name", "size", "scheme"), [("phone", (390, 844), "light"), ("dark", (1280, 1000), "dark")], ids=["phone", "dark"]
)
def test_fits_a_phone_and_the_dark(visit, name, size, scheme):
    page = visit(*size, color_scheme=scheme)
    parsed(page)
    shot(page, f"web-{name}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_is_enough(visit):
    page = visit()
    parsed(page)
    page.focus("#parts button >> nth=0")
    page.keyboard.press("Enter")
    assert page.get_attribute("#parts button >> nth=0", "aria-pressed") == "true"
    assert page.evaluate("[...document.images].every((image) => image.alt)")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.value"))
    assert {"file", "camera", "opacity", "map", "cutout"} <= reached
