import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssnan.errors import printable
from ssnan.io.storing import photo_of
from ssnan.io.writing import appearing_together
from ssnan.parsing.batch import Outcome, Saving, parse_files
from ssnan.parsing.inputs import find_inputs
from ssnan.results.outputs import KINDS


def write_photo(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20), color).save(path)
    return path


def test_writes_everything_asked_for(color_parser, tmp_path):
    photo = write_photo(tmp_path / "red.jpg")
    saving = Saving(tmp_path / "out", tuple(KINDS), ("hair", "hat"))
    assert list(parse_files(color_parser, find_inputs([str(photo)], False), saving)) == [Outcome(photo)]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {"red.png", "red.json", "red.mask.hair.png", "red.mask.hat.png", "red.people.png", "red.person1.png"}
    assert names == expected | {f"red.{kind}.png" for kind in ("overlay", "summary", "confidence", "cutout", "crop")}
    masks = [Image.open(tmp_path / "out" / f"red.mask.{part}.png") for part in ("hair", "hat")]
    assert [(mask.mode, mask.getextrema()) for mask in masks] == [("L", (255, 255)), ("L", (0, 0))]
    with Image.open(tmp_path / "out" / "red.cutout.png") as cutout:
        assert (cutout.mode, cutout.getextrema()[3]) == ("RGBA", (255, 255))
    with Image.open(tmp_path / "out" / "red.png") as labels:
        assert labels.mode == "P"
        assert labels.size == (30, 20)
        assert (np.array(labels) == 2).all()
    assert json.loads((tmp_path / "out" / "red.json").read_text())["parts"]["hair"]["area"] == 600


def test_a_bad_file_does_not_stop_the_others(color_parser, tmp_path):
    bad = tmp_path / "a.jpg"
    bad.write_bytes(b"no photo")
    good = write_photo(tmp_path / "b.jpg")
    first, second = parse_files(color_parser, find_inputs([str(bad), str(good)], False), Saving(tmp_path / "out"))
    assert "not an image" in first.problem
    assert second == Outcome(good)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("skip_existing", [False, True])
def test_a_pipe_among_the_results_stays(color_parser, tmp_path, skip_existing):
    first, second = write_photo(tmp_path / "a.jpg"), write_photo(tmp_path / "b.jpg")
    pipes = [tmp_path / "out" / name for name in ("a.png", "b.json", "b.overlay.png")]
    (tmp_path / "out").mkdir()
    for pipe in pipes:
        os.mkfifo(pipe)
    saving = Saving(tmp_path / "out", skip_existing=skip_existing)
    refused, parsed = parse_files(color_parser, find_inputs([str(first), str(second)], False), saving)
    assert "is not a regular file" in refused.problem
    assert parsed == Outcome(second)
    assert all(pipe.is_fifo() for pipe in pipes)


def test_a_name_too_long_for_its_results_does_not_stop_the_others(color_parser, tmp_path):
    long, good = write_photo(tmp_path / f"{'a' * 246}.jpg"), write_photo(tmp_path / "b.jpg")
    saving = Saving(tmp_path / "out", ("confidence",))
    saving.folder.mkdir()
    first, second = parse_files(color_parser, find_inputs([str(long), str(good)], False), saving)
    assert first.problem.endswith(f"{'a' * 246}.confidence.png: File name too long")
    assert second == Outcome(good)
    assert {path.name for path in saving.folder.iterdir()} == {"b.png", "b.confidence.png"}


def test_a_photo_s_files_appear_together_or_not_at_all(color_parser, tmp_path, monkeypatch):
    photo = write_photo(tmp_path / "p.jpg")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ssnan.results.result.ParsingResult.to_image", full_disk)
    saving = Saving(tmp_path / "out", ("json",))
    [outcome] = parse_files(color_parser, find_inputs([str(photo)], False), saving)
    assert "No space left" in outcome.problem
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_is_full_while_files_take_their_places_leaves_none(color_parser, tmp_path, monkeypatch):
    photo = write_photo(tmp_path / "p.jpg")
    replace, calls = Path.replace, []

    def full_at_the_second(part, place):
        calls.append(place)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(part), None, str(place))
        return replace(part, place)

    monkeypatch.setattr(Path, "replace", full_at_the_second)
    [outcome] = parse_files(color_parser, find_inputs([str(photo)], False), Saving(tmp_path / "out", ("json",)))
    assert outcome.problem == f"{tmp_path / 'out' / 'p.png'}: No space left on device"
    assert list((tmp_path / "out").iterdir()) == []


def test_one_photo_s_map_never_replaces_another_s_overlay(color_parser, tmp_path):
    photos = [write_photo(tmp_path / name) for name in ("a.overlay.jpg", "a.jpg")]
    inputs = dict(zip(photos, (Path("a.overlay"), Path("a")), strict=True))  # names that find_inputs would not give
    first, second = parse_files(color_parser, inputs, Saving(tmp_path / "out", ("overlay",)))
    assert first.problem is None
    assert "would overwrite that of" in second.problem


def test_photos_and_other_results_are_never_replaced(color_parser, tmp_path):
    photo = write_photo(tmp_path / "p.png")
    before = photo.read_bytes()
    [outcome] = parse_files(color_parser, find_inputs([str(photo)], False), Saving(tmp_path))
    assert "would overwrite the photo" in outcome.problem
    assert photo.read_bytes() == before

    twins = [write_photo(tmp_path / folder / "p.png", "blue") for folder in ("other", "third")]
    inputs = find_inputs([str(photo), *map(str, twins)], False)
    first, *others = parse_files(color_parser, inputs, Saving(tmp_path / "out"))
    assert first == Outcome(photo)
    assert all(f"would overwrite that of {photo};" in other.problem for other in others)


def test_a_file_that_is_not_a_result_is_never_replaced(color_parser, tmp_path):
    """The output folder is that of the photo, where another photo or other notes have the name of a result."""
    photo, twin = write_photo(tmp_path / "p.jpg"), write_photo(tmp_path / "p.png", "blue")
    inputs = find_inputs([str(photo)], False)
    before = twin.read_bytes()
    for skip in (False, True):
        [outcome] = parse_files(color_parser, inputs, Saving(tmp_path, skip_existing=skip))
        assert f"would overwrite {twin}, which is not a result" in outcome.problem
        assert twin.read_bytes() == before
    twin.unlink()
    (tmp_path / "p.json").write_text('{"shapes": []}')
    [outcome] = parse_files(color_parser, inputs, Saving(tmp_path, ("json",)))
    assert f"would overwrite {tmp_path / 'p.json'}" in outcome.problem
    assert (tmp_path / "p.json").read_text() == '{"shapes": []}'
    assert list(parse_files(color_parser, inputs, Saving(tmp_path))) == [Outcome(photo)]


@pytest.mark.parametrize("ending", ["crop", "mask.hat", "mask.skirt", "person1", "person5", "overlay"])
def test_a_png_of_the_user_stays_whatever_its_name(color_parser, tmp_path, ending):
    """Whether this photo would have such a result, or an earlier run could have left one."""
    inputs = find_inputs([str(write_photo(tmp_path / "p.jpg"))], False)
    own = write_photo(tmp_path / f"p.{ending}.png", "blue")
    before = own.read_bytes()
    saving = Saving(tmp_path, ("overlay", "masks", "crop", "people"), ("hat", "skirt"))
    [outcome] = parse_files(color_parser, inputs, saving)
    assert f"would overwrite {own}, which is not a result of ssnan" in outcome.problem
    assert {path.name for path in tmp_path.iterdir()} == {"p.jpg", own.name}
    assert own.read_bytes() == before
    assert list(parse_files(color_parser, inputs, Saving(tmp_path))) == [Outcome(tmp_path / "p.jpg")]
    assert own.read_bytes() == before


@pytest.mark.parametrize("skip", [False, True])
def test_a_photo_of_another_name_never_takes_the_place_of_a_result(color_parser, tmp_path, skip):
    first, second = write_photo(tmp_path / "p.jpg"), write_photo(tmp_path / "p.png", "blue")
    out = tmp_path / "out"
    assert list(parse_files(color_parser, find_inputs([str(first)], False), Saving(out, ("json",)))) == [Outcome(first)]
    before = {path: path.read_bytes() for path in out.iterdir()}
    for gone in ("", "p.png"):
        if gone:
            before.pop(out / gone)
            (out / gone).unlink()
        [outcome] = parse_files(color_parser, find_inputs([str(second)], False), Saving(out, ("json",), (), skip))
        assert "is a result of another photo, p.jpg; choose another folder" in outcome.problem
        assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_maps_that_do_not_name_their_photo_are_results(color_parser, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    inputs = find_inputs([str(photo)], False)
    color_parser(photo).save(tmp_path / "out" / "p.png")
    for skip in (True, False):
        [outcome] = parse_files(color_parser, inputs, Saving(tmp_path / "out", skip_existing=skip))
        assert (outcome.problem, outcome.skipped) == (None, skip)


def test_a_photo_with_a_map_is_skipped_also_if_the_map_is_an_input(color_parser, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    list(parse_files(color_parser, find_inputs([str(photo)], False), Saving(tmp_path)))
    inputs = {photo: Path("p"), tmp_path / "p.png": Path("q")}
    outcomes = list(parse_files(color_parser, inputs, Saving(tmp_path, skip_existing=True)))
    assert outcomes == [Outcome(photo, skipped=True), Outcome(tmp_path / "p.png")]


@pytest.mark.parametrize("name", ["p.jpg", "ä ö.jpg", "日本.jpg", "p\n.jpg", os.fsdecode(b"p\xff.jpg")])
def test_every_png_names_its_photo(color_parser, tmp_path, name):
    photo = tmp_path / name
    Image.new("RGB", (30, 20), "red").save(photo, format="JPEG")
    inputs = find_inputs([str(photo)], False)
    for _ in range(2):  # the second run finds and replaces the results of the first
        assert list(parse_files(color_parser, inputs, Saving(tmp_path / "out", tuple(KINDS)))) == [Outcome(photo)]
    assert {photo_of(path) for path in (tmp_path / "out").glob("*.png")} == {printable(name)}


def test_where_case_does_not_matter_names_that_differ_in_it_are_one(color_parser, tmp_path, monkeypatch):
    for name in ("a/IMG.jpg", "b/img.jpg", "c.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    inputs = find_inputs([str(tmp_path / name) for name in ("a/IMG.jpg", "b/img.jpg", "c.PNG")], recursive=False)
    monkeypatch.setattr("ssnan.parsing.batch.CASE_MATTERS", False)
    first, second, photo = parse_files(color_parser, inputs, Saving(tmp_path))
    assert first.problem is None
    assert "would overwrite that of" in second.problem
    assert "would overwrite the photo" in photo.problem
    monkeypatch.setattr("ssnan.parsing.batch.CASE_MATTERS", True)
    assert [outcome.problem for outcome in parse_files(color_parser, inputs, Saving(tmp_path))] == [None] * 3


@pytest.mark.parametrize("kinds", [(), ("overlay", "json")])
def test_existing_results_are_renewed_or_left(color_parser, tmp_path, kinds):
    inputs = find_inputs([str(write_photo(tmp_path / "p.jpg"))], False)
    for skip, skipped in ((True, False), (False, False), (True, True)):
        [outcome] = parse_files(color_parser, inputs, Saving(tmp_path / "o", kinds, skip_existing=skip))
        assert (outcome.problem, outcome.skipped) == (None, skipped)


def test_nothing_to_crop_leaves_out_the_crop_alone(color_parser, tmp_path):
    photo = write_photo(tmp_path / "green.jpg", "green")
    saving = Saving(tmp_path / "o", ("crop", "cutout", "masks"))
    assert list(parse_files(color_parser, find_inputs([str(photo)], False), saving)) == [Outcome(photo)]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"green.png", "green.cutout.png"}


def test_the_umask_is_kept_and_never_touched(tmp_path, monkeypatch):
    """It belongs to the process: another thread's files would get its rights."""
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("set the umask"))
            with appearing_together() as written_at:
                written_at(tmp_path / "a.png").write_bytes(b"a")
        assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_parts_and_people_of_an_earlier_run_do_not_stay(color_parser, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    saving = Saving(tmp_path / "out", ("masks", "people"))
    list(parse_files(color_parser, find_inputs([str(photo)], False), saving))
    assert (tmp_path / "out" / "p.person1.png").is_file()
    assert (tmp_path / "out" / "p.mask.hair.png").is_file()
    write_photo(photo, "black")  # nobody
    list(parse_files(color_parser, find_inputs([str(photo)], False), saving))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"p.png", "p.people.png"}


def test_no_result_of_an_earlier_run_stays_beside_a_new_map(color_parser, tmp_path):
    """They would contradict it if the photo has changed. Other files stay, also those of a photo named as a result."""
    photo, other = write_photo(tmp_path / "p.jpg"), write_photo(tmp_path / "p.crop.jpg")
    out, everything = tmp_path / "out", tuple(KINDS)
    list(parse_files(color_parser, {other: Path("p.crop")}, Saving(out)))
    kept = {write_photo(out / "p.2.png"), write_photo(out / "p.mask.mine.png"), out / "p.crop.png"}
    saving = Saving(out, tuple(kind for kind in everything if kind != "crop"), ("hair",))
    assert list(parse_files(color_parser, {photo: Path("p")}, saving)) == [Outcome(photo)]
    found = set(out.iterdir())
    assert {path.name for path in found - kept} > {"p.json", "p.mask.hair.png", "p.person1.png"}
    assert list(parse_files(color_parser, {photo: Path("p")}, Saving(out))) == [Outcome(photo)]
    assert set(out.iterdir()) == found  # the map is the same
    write_photo(photo, "black")
    assert list(parse_files(color_parser, {photo: Path("p")}, Saving(out))) == [Outcome(photo)]
    assert set(out.iterdir()) == kept | {out / "p.png"}


def test_a_result_that_is_an_input_itself_stays(color_parser, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    list(parse_files(color_parser, {photo: Path("p")}, Saving(tmp_path, ("crop",))))
    inputs = {photo: Path("p"), tmp_path / "p.crop.png": Path("crop")}
    assert [outcome.problem for outcome in parse_files(color_parser, inputs, Saving(tmp_path))] == [None, None]
    assert {path.name for path in tmp_path.iterdir()} == {"p.jpg", "p.png", "p.crop.png", "crop.png"}
