import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssnan.io.opening import ImageError
from ssnan.io.storing import photo_of, png_info
from ssnan.labels import LIP, LabelSet
from ssnan.results.colors import distinct
from ssnan.results.result import ParsingResult

MANY = distinct(LabelSet("many", tuple(map(str, range(22))), ((0, 0, 0),) * 22))
"""More classes than distinct colours."""


@pytest.fixture
def result():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 20, (30, 40)).astype(np.uint8)
    return ParsingResult(labels, LIP, generator.normal(size=(20, 5, 6)).astype(np.float32))


@pytest.mark.parametrize("name", ["r.png", "r.npz"])
def test_what_is_saved_is_loaded(result, tmp_path, name):
    result.save(tmp_path / name)
    again = ParsingResult.load(tmp_path / name)
    np.testing.assert_array_equal(again.labels, result.labels)
    assert again.label_set == LIP
    if name == "r.npz":
        np.testing.assert_array_equal(again.confidence, result.confidence)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_npz_keeps_the_people_that_a_network_told_apart(result, tmp_path):
    maps = np.zeros((3, 5, 6), dtype=np.float32)
    maps[0] = -9
    maps[0, 2, [1, 5]] = 9
    apart = replace(result, instance_maps=maps)
    assert apart.people_map.max() == 2
    apart.save(tmp_path / "r.npz")
    np.testing.assert_array_equal(ParsingResult.load(tmp_path / "r.npz").people_map, apart.people_map)
    result.save(tmp_path / "without.npz")
    assert ParsingResult.load(tmp_path / "without.npz").instances is None


def test_other_labels_are_remembered_too(result, tmp_path):
    result.remap("atr").save(tmp_path / "r.png")
    assert ParsingResult.load(tmp_path / "r.png").label_set.name == "atr"


def test_a_map_of_others_needs_a_label_set(result, tmp_path):
    Image.fromarray(result.labels).save(tmp_path / "m.png")
    with pytest.raises(ImageError, match=r"m\.png: contains no label set; .*from_png"):
        ParsingResult.load(tmp_path / "m.png")


@pytest.mark.parametrize("load", [ParsingResult.load, lambda path: ParsingResult.from_png(path, LIP)])
def test_a_map_in_another_order_of_colours_is_read_by_colour(tmp_path, load):
    """As an optimiser leaves it: only the used colours, in an order of its own."""
    shown = np.array([[1, 0, 2]], dtype=np.uint8)
    image = Image.fromarray(shown)
    image.putpalette([level for class_id in (13, 0, 7) for level in LIP.palette[class_id]])
    image.save(tmp_path / "m.png", pnginfo=png_info(LIP))
    assert load(tmp_path / "m.png").labels.tolist() == [[0, 13, 7]]


@pytest.mark.parametrize("again", [ParsingResult.load, lambda path: ParsingResult.from_png(path, MANY)])
def test_a_map_whose_colours_repeat_is_read_by_index(tmp_path, again):
    ParsingResult(np.array([[0, 21]], dtype=np.uint8), MANY).save(tmp_path / "m.png")
    assert again(tmp_path / "m.png").labels.tolist() == [[0, 21]]


def test_a_pipe_or_a_damaged_map_is_one_clear_line(result, tmp_path):
    result.save(tmp_path / "r.png")
    (tmp_path / "r.png").write_bytes((tmp_path / "r.png").read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"r\.png: damaged or truncated"):
        ParsingResult.load(tmp_path / "r.png")
    if hasattr(os, "mkfifo"):  # Windows has no named pipes
        os.mkfifo(tmp_path / "p.png")
        os.mkfifo(tmp_path / "p.npz")
        for name in ("p.png", "p.npz"):
            with pytest.raises(ImageError, match="is a pipe"):
                ParsingResult.load(tmp_path / name)


def arrays(**changes):
    text = np.frombuffer(json.dumps(LIP.to_dict()).encode(), dtype=np.uint8)
    return {"labels": np.zeros((2, 2), dtype=np.uint8), "label_set": text} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (arrays(labels=np.zeros((2, 2))), "labels in uint8"),
        (arrays(labels=np.zeros(0, dtype=np.uint8)), "labels in uint8"),
        (arrays(scores=np.zeros((3, 2, 2), dtype=np.float32)), "scores in float32"),
        (arrays(people=np.zeros((3, 2), dtype=np.uint8)), r"people in uint8 \(2, 2\)"),
        (arrays(label_set=np.zeros(3, dtype=np.uint8)), "label set is invalid"),
        ({"labels": np.zeros((2, 2), dtype=np.uint8)}, "not a file of ParsingResult.save"),
        (arrays(labels=np.array([{}])), "not a file of ParsingResult.save"),
    ],
)
def test_files_of_strangers(tmp_path, content, message):
    with (tmp_path / "r.npz").open("wb") as file:
        np.savez(file, **content)
    with pytest.raises(ImageError, match=message):
        ParsingResult.load(tmp_path / "r.npz")


def test_files_that_are_none(tmp_path):
    (tmp_path / "r.npz").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "folder.npz").mkdir()
    told = {"r.npz": "not a file of", "empty.npz": "not a file of", "folder.npz": r"not a file of .* \(IsADirectory"}
    for name, message in (told | dict.fromkeys(("no.npz", "no.png"), "no such file")).items():
        with pytest.raises(ImageError, match=message):
            ParsingResult.load(tmp_path / name)


def test_a_png_tells_whose_result_it_is(result, tmp_path):
    result.save(tmp_path / "map.png")
    Image.new("L", (3, 2)).save(tmp_path / "named.png", pnginfo=png_info(photo="a\nb.jpg"))
    Image.new("L", (3, 2)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no PNG")
    found = {path.stem: photo_of(path) for path in [*tmp_path.iterdir(), tmp_path / "none.png"]}
    assert found == {"map": "", "named": "a\\nb.jpg", "photo": None, "text": None, "none": None}
