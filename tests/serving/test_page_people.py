"""The people of a photo on the page, in a real browser."""

import json

import numpy as np
from PIL import Image

from browser import needs_chromium, shot
from serving.conftest import downloaded, see, seen, send
from ssnan.results.result import ParsingResult

pytestmark = needs_chromium


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
