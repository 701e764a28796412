import hashlib
import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from fakes.parsers import DyingOptions, WordOptions
from ssnan.cluster.isolation import ClosedError, Isolation, ParseOptions
from ssnan.cluster.items import Item
from ssnan.parsing.card import ModelError
from ssnan.results.result import ParsingResult


@pytest.fixture
def isolation():
    one = Isolation(WordOptions(), patience=5.0)
    yield one
    one.close()


def items(folder, *words):
    made = []
    for index, word in enumerate(words):
        path = folder / f"{index}.jpg"
        path.write_bytes(word if isinstance(word, bytes) else word.encode())
        made.append(Item(path.stem, str(path)))
    return made


def test_rows_and_maps(isolation, tmp_path):
    [(item, parsed)] = isolation.parse(items(tmp_path, "fine"))
    assert item.name == "0"
    row = parsed.row
    assert (row["status"], row["reason"], row["width"], row["height"]) == ("parsed", None, 6, 4)
    assert row["sha256"] == hashlib.sha256(b"fine").hexdigest()
    [part] = row["parts"]
    assert (part["name"], part["area"], part["box"]) == ("hair", 24, [0, 0, 6, 4])
    assert [joint["name"] for joint in row["joints"]] == ["head"]
    assert row["seconds"] > 0
    (tmp_path / "map.png").write_bytes(parsed.files[".png"])
    assert (ParsingResult.load(tmp_path / "map.png").labels == 2).all()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("dies", "ended by signal 9 (SIGKILL) in two attempts"),
        ("exits", "ended with status 3 in two attempts"),
        ("hangs", "no result within 5 seconds in two attempts"),
    ],
)
def test_a_poisoned_photo_costs_itself_alone(isolation, tmp_path, word, told):
    given = items(tmp_path, *["fine"] * 4, word, *["fine"] * 12)
    answers = list(isolation.parse(given))
    assert [item.name for item, _ in answers] == [item.name for item in given]
    statuses = [parsed.row["status"] for _, parsed in answers]
    assert statuses == ["parsed"] * 4 + ["quarantined"] + ["parsed"] * 12
    assert told in answers[4][1].row["reason"]
    assert answers[4][1].files == {}


def test_a_photo_that_kills_once_is_parsed(isolation, tmp_path):
    given = items(tmp_path, "fine", f"dies once:{tmp_path / 'been here'}", "fine")
    assert [parsed.row["status"] for _, parsed in isolation.parse(given)] == ["parsed"] * 3


def test_what_is_no_photo_is_told_and_kills_nobody(isolation, tmp_path):
    given = [*items(tmp_path, "broken"), Item("gone", str(tmp_path / "gone.jpg"))]
    broken, gone = (parsed.row for _, parsed in isolation.parse(given))
    assert (broken["status"], gone["status"]) == ("failed", "failed")
    assert broken["reason"].startswith("not an image")
    assert broken["sha256"] == hashlib.sha256(b"broken").hexdigest()
    assert "No such file" in gone["reason"]


def test_an_error_of_a_store_kills_nobody_and_is_unfinished(isolation, tmp_path):
    given = [*items(tmp_path, "fine", "fine"), Item("a", "htp://shop/a.jpg")]
    answers = [parsed.row for _, parsed in isolation.parse(given)]
    assert [row["status"] for row in answers] == ["parsed", "parsed", "unfinished"]
    assert answers[2]["reason"].startswith("cannot be read: Protocol not known: htp")


def test_a_model_that_fails_kills_nobody_and_leaves_the_photo_unfinished(isolation, tmp_path):
    answers = [parsed.row for _, parsed in isolation.parse(items(tmp_path, "fine", "nan", "fine"))]
    assert [row["status"] for row in answers] == ["parsed", "unfinished", "parsed"]
    assert answers[1]["reason"] == "the network returns scores that are not finite; its weights are damaged"


def test_a_child_that_is_killed_between_photos_is_started_anew(isolation, tmp_path):
    given = items(tmp_path, *["fine"] * 12)
    answers = []
    for number, answer in enumerate(isolation.parse(given)):
        if number == 3:
            os.kill(isolation._process.pid, signal.SIGKILL)
        answers.append(answer)
    assert [item.name for item, _ in answers] == [item.name for item in given]
    assert {parsed.row["status"] for _, parsed in answers} == {"parsed"}


def test_a_model_that_is_not_there_is_said():
    with pytest.raises(ModelError, match=r"^model 'nowhere': expected one of small"):
        list(Isolation(ParseOptions(model="nowhere")).parse([Item("a", "a.jpg")]))


def test_a_child_that_dies_while_it_loads_is_said():
    with pytest.raises(ModelError, match=r"^model small: its process ended by signal 9 \(SIGKILL\) while it loaded$"):
        list(Isolation(DyingOptions()).parse([Item("a", "a.jpg")]))


def test_options_ask_for_what_parse_asks_for(tmp_path):
    from PIL import Image

    Image.fromarray(np.zeros((40, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    isolation = Isolation(ParseOptions(labels="merged", kinds=("json",)))
    try:
        [(_, parsed)] = isolation.parse([Item("a", str(tmp_path / "a.png"))])
    finally:
        isolation.close()
    assert set(parsed.files) == {".png", ".json"}
    document = json.loads(parsed.files[".json"])
    assert document["label_set"] != "lip"
    assert document["image"] == "a.png"


def test_closing_ends_a_thread_that_waits(tmp_path):
    """Neither a new child nor a row of a photo that seems to have killed the old one."""
    isolation = Isolation(WordOptions(), patience=60.0)
    parsed, ended = [], []

    def parse():
        try:
            parsed.extend(isolation.parse(items(tmp_path, "fine", "hangs")))
        except ClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=parse)
    thread.start()
    while isolation._process is None or not isolation._process.is_alive():
        time.sleep(0.01)
    isolation.close()
    thread.join(30)
    assert not thread.is_alive()
    assert len(ended) == 1
    assert parsed == []
    assert not isolation._process.is_alive()
