import json

import numpy as np
import pytest
from PIL import Image

from ssnan.parsing.batch import find_inputs, parse_files


def write_photo(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20), color).save(path)
    return path


def test_files_folders_and_patterns(tmp_path):
    one = write_photo(tmp_path / "in" / "one.jpg")
    deep = write_photo(tmp_path / "in" / "deep" / "two.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    folder = str(tmp_path / "in")
    assert set(find_inputs([folder], recursive=False)) == {one}
    found = find_inputs([folder], recursive=True)
    assert {str(stem) for stem in found.values()} == {"one", "deep/two"}
    assert set(found) == {one, deep}
    assert set(find_inputs([f"{folder}/*.jpg"], recursive=False)) == {one}
    assert find_inputs([f"{folder}/*.gif"], recursive=False) == {}


def test_writes_everything_asked_for(color_parser, tmp_path):
    photo = write_photo(tmp_path / "red.jpg")
    outcomes = list(parse_files(color_parser, find_inputs([str(photo)], False), tmp_path / "out",
                                ["overlay", "json", "confidence"]))  # fmt: skip
    assert outcomes == [(photo, None)]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"red.png", "red.overlay.png", "red.json", "red.confidence.png"}
    with Image.open(tmp_path / "out" / "red.png") as labels:
        assert labels.mode == "P"
        assert labels.size == (30, 20)
        assert (np.array(labels) == 2).all()
    assert json.loads((tmp_path / "out" / "red.json").read_text())["parts"]["hair"]["area"] == 600


def test_a_bad_file_does_not_stop_the_others(color_parser, tmp_path):
    bad = tmp_path / "a.jpg"
    bad.write_bytes(b"no picture")
    good = write_photo(tmp_path / "b.jpg")
    outcomes = dict(parse_files(color_parser, find_inputs([str(bad), str(good)], False), tmp_path / "out"))
    assert "not a picture" in outcomes[bad]
    assert outcomes[good] is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def test_nothing_half_written_is_left(color_parser, tmp_path, monkeypatch):
    photo = write_photo(tmp_path / "p.jpg")

    def full_disk(self, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ssnan.parsing.result.ParsingResult.save", full_disk)
    [(_, reason)] = parse_files(color_parser, find_inputs([str(photo)], False), tmp_path / "out")
    assert "No space left" in reason
    assert list((tmp_path / "out").iterdir()) == []


def test_photos_and_other_results_are_never_replaced(color_parser, tmp_path):
    photo = write_photo(tmp_path / "p.png")
    before = photo.read_bytes()
    [(_, reason)] = parse_files(color_parser, find_inputs([str(photo)], False), tmp_path)
    assert "would replace the photo" in reason
    assert photo.read_bytes() == before

    twin = write_photo(tmp_path / "other" / "p.png", "blue")
    outcomes = dict(parse_files(color_parser, find_inputs([str(photo), str(twin)], False), tmp_path / "out"))
    assert outcomes[photo] is None
    assert "would replace that of" in outcomes[twin]


@pytest.mark.parametrize("extras", [[], ["overlay"]])
def test_existing_results_are_renewed(color_parser, tmp_path, extras):
    photo = write_photo(tmp_path / "p.jpg")
    for _ in range(2):
        assert [r for _, r in parse_files(color_parser, find_inputs([str(photo)], False), tmp_path / "o", extras)] == [
            None
        ]
