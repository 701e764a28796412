import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from formats.conftest import LABELS
from ssnan.commands import main
from ssnan.commands.convert import FORMATS
from ssnan.formats.folder import FormatError, find_maps, read_folder, without_specks
from ssnan.formats.polygons import polygons_of_people
from ssnan.io.images import read_rgb
from ssnan.io.pixels import ORIENTATION
from ssnan.io.writing import unfinished_prefix
from ssnan.labels import ATR, LIP
from ssnan.results.outputs import files
from ssnan.results.result import ParsingResult


def test_overlays_are_no_maps(folder):
    assert [path.name for path in find_maps(folder / "maps")] == ["two.png", "one.png"]


def test_maps_of_one_person_are_no_maps_of_photos(folder):
    result = ParsingResult(LABELS, ATR)
    for ending, content in files(result, "one.jpg", ["people"], []).items():
        (folder / "maps" / f"one{ending}").write_bytes(content())
    assert (folder / "maps" / "one.person1.png").is_file()
    assert ParsingResult.load(folder / "maps" / "one.person1.png").label_set == ATR
    assert [path.name for path in find_maps(folder / "maps")] == ["two.png", "one.png"]


def test_maps_in_other_labels_are_named(folder):
    hood = replace(LIP, classes=("background", "hood", *LIP.classes[2:]))
    for label_set, difference in ((ATR, "18 classes, not 20"), (hood, "class 1 is 'hood', not 'hat'")):
        ParsingResult(np.minimum(LABELS, 10), label_set).save(folder / "maps" / "three.png")
        with pytest.raises(FormatError, match=rf"three.png'?: its labels are not .*: {difference}; convert them"):
            list(read_folder(folder / "maps"))


@pytest.mark.parametrize("to", FORMATS)
def test_a_conversion_that_fails_leaves_no_folder(folder, capsys, to):
    """The photo of the last map is missing; the one before is in a subfolder."""
    (folder / "photos" / "one.jpg").unlink()
    out, unrelated = folder / "new" / "out", folder / "old"
    unrelated.mkdir()
    for place in (out, unrelated):
        given = [str(folder / "maps"), "--photos", str(folder / "photos"), "-o", str(place)]
        assert main(["convert", *given, "--to", to]) == 1
        assert "one.png: its photo is not in" in capsys.readouterr().err
    assert not out.parent.exists()
    assert not list(unrelated.iterdir())


@pytest.mark.parametrize("empty", [["", "-o", "out"], ["maps", "-o", ""], ["maps", "--photos", ""]])
def test_an_empty_name_is_no_folder(folder, capsys, monkeypatch, empty):
    monkeypatch.chdir(folder / "photos" if empty[0] == "" else folder)
    before = set(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main(["convert", *empty, "--to", "coco"])
    assert ended.value.code == 2
    assert "expected a folder, got ''; is a variable on the command line empty?" in capsys.readouterr().err
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("target", ["coco", "openraster"])
def test_a_photo_of_another_size_is_refused(folder, capsys, target):
    Image.new("RGB", (15, 20)).save(folder / "photos" / "one.jpg")
    command = ["convert", str(folder / "maps"), "--to", target, "--photos", str(folder / "photos")]
    assert main([*command, "-o", str(folder / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "one.jpg: is 15 × 20, but its map is 30 × 40; --photos takes the photos that were parsed" in line


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8, 9])
def test_the_size_of_a_photo_is_that_of_its_orientation(folder, suffix, orientation):
    exif, photo = Image.Exif(), folder / "photos" / f"one.{suffix}"
    exif[ORIENTATION] = orientation
    (folder / "photos" / "one.jpg").unlink()
    Image.new("RGB", (40, 30) if 5 <= orientation <= 8 else (30, 40)).save(photo, exif=exif)
    assert read_rgb(photo).shape[:2] == LABELS.shape
    assert [named.file_name for named in read_folder(folder / "maps", folder / "photos")][1] == photo.name


def test_photos_of_one_name_keep_files_of_their_own(folder):
    """Two endings, and the video that a phone writes beside a photo."""
    maps, photos = folder / "maps", folder / "photos"
    (maps / "one.png").rename(maps / "one.jpg.png")
    Image.open(photos / "one.jpg").save(photos / "one.png")
    ParsingResult(np.zeros_like(LABELS), LIP).save(maps / "one.png.png")
    (photos / "deeper" / "two.mov").write_bytes(b"")
    found = {named.stem: named.file_name for named in read_folder(maps, photos)}
    assert found == {"one.jpg": "one.jpg", "one.png": "one.png", "deeper/two": "deeper/two.jpg"}
    command = ["convert", str(maps), "--photos", str(photos), "--to", "labelme", "-o", str(folder / "out")]
    assert main(command) == 0
    assert {path.name for path in (folder / "out").rglob("*.json")} == {"one.jpg.json", "one.png.json", "two.json"}


def test_a_map_finds_its_photo_by_name_whatever_lies_beside_it(folder):
    """Its name without suffix would be x if x.jpg were alone, and y.jpg if y.jpg were not."""
    maps, photos = folder / "maps", folder / "photos"
    photo_in = {"x.png": "x.jpg", "y.jpg.png": "y.jpg", "deeper/x.png": "x.png", "one.png": "of/a/catalog"}
    for name, photo in photo_in.items():
        (maps / name).write_bytes(files(ParsingResult(LABELS, LIP), photo, [], [])[".png"]())
    for name in ("x.jpg", "x.png", "y.jpg", "deeper/x.png", "deeper/x.jpg"):
        Image.open(photos / "one.jpg").save(photos / name)
    found = {named.stem: named.file_name for named in read_folder(maps, photos)}
    assert found.items() >= {"x": "x.jpg", "y.jpg": "y.jpg", "deeper/x": "deeper/x.png", "one": "one.jpg"}.items()


@pytest.mark.parametrize("arguments", [["nowhere", "--to", "coco"], [".", "--to", "cvat", "--tolerance", "-1"]])
def test_misuse_is_said_in_a_line(arguments, capsys):
    assert main(["convert", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_without_maps_is_said_so(folder, capsys):
    assert main(["convert", str(folder / "photos"), "--to", "coco", "-o", str(folder / "out")]) == 1
    assert "has no label map" in capsys.readouterr().err


def test_specks_take_the_class_around_them():
    def cleaned(labels, min_area):
        return without_specks(ParsingResult(labels, LIP), min_area).labels

    assert cleaned(LABELS, 10)[38, 28] == 0  # the shoe of one pixel
    assert cleaned(LABELS, 10)[1, 1] == 0  # the hat of nine
    np.testing.assert_array_equal(cleaned(LABELS, 10)[4:36, 5:25], LABELS[4:36, 5:25])
    np.testing.assert_array_equal(cleaned(LABELS, 0), LABELS)
    np.testing.assert_array_equal(cleaned(LABELS[:3, :3], 10), LABELS[:3, :3])


def test_a_filled_hole_belongs_to_the_person_around_it(folder):
    labels = np.zeros((100, 60), dtype=np.uint8)
    labels[10:90, 10:50] = LIP.classes.index("upper-clothes")
    labels[30:32, 20:22] = 0
    write_results(folder / "maps" / "one", ParsingResult(labels, LIP), "one.jpg")
    [_, named] = read_folder(folder / "maps", min_area=10)
    assert {key: len(found) for key, found in polygons_of_people(named.result).items()} == {(1, "upper-clothes"): 1}


@pytest.mark.parametrize(("arguments", "shoe"), [((), False), (("--min-area", "0"), True)])
def test_polygons_of_a_few_pixels_are_left_out(folder, arguments, shoe):
    assert main(["convert", str(folder / "maps"), "--to", "cvat", "-o", str(folder / "out"), *arguments]) == 0
    text = "".join(path.read_text() for path in (folder / "out").rglob("*.xml"))
    assert "upper-clothes" in text
    assert ('label="left-shoe"' in text) == shoe


def write_results(place, result, photo):
    """Write a map and its people as ``ssnan parse --people`` does."""
    for ending, content in files(result, photo, ["people"], []).items():
        place.with_name(place.name + ending).write_bytes(content())


def test_people_of_another_photo_are_refused(folder, capsys):
    result = ParsingResult.load(folder / "maps" / "one.png")
    write_results(folder / "maps" / "one", result, "one.jpg")
    list(read_folder(folder / "maps"))
    (folder / "maps" / "one.png").write_bytes(files(result, "one.tif", [], [])[".png"]())
    assert main(["convert", str(folder / "maps"), "--to", "coco", "-o", str(folder / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "one.people.png: is a result of one.jpg, but its map is one of one.tif; remove it" in line


def test_small_parts_may_be_nobody_s(folder):
    labels = np.zeros((100, 300), dtype=np.uint8)
    labels[10:90, 10:60] = LIP.classes.index("upper-clothes")
    labels[50:54, 280:290] = LIP.classes.index("left-shoe")  # too small and too far away
    write_results(folder / "maps" / "one", ParsingResult(labels, LIP), "one.jpg")
    [_, named] = read_folder(folder / "maps")
    assert {int(number) for number in np.unique(named.result.people_map)} == {0, 1}
    assert named.result.people_map[52, 285] == 0


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("target", "file"),
    [
        ("coco", "instances.json"),
        ("panoptic", "panoptic.json"),
        ("panoptic", "panoptic/one.png"),
        ("cvat", "annotations.xml"),
        ("labelme", "one.json"),
        ("openraster", "one.ora"),
    ],
)
def test_corrected_files_are_replaced_only_on_request(folder, capsys, target, file):
    out = folder / "out"
    command = ["convert", str(folder / "maps"), "--to", target, "-o", str(out)]
    (out / file).parent.mkdir(parents=True)
    (out / file).write_bytes(b"corrected")
    assert main(command) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"{out / file}: exists with other contents; choose another folder with -o, or --overwrite" in line
    assert contents(out) == {out / file: b"corrected"}  # nor half of the others
    assert main([*command, "--overwrite"]) == 0
    assert (out / file).read_bytes() != b"corrected"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_no_map_and_is_not_replaced(folder, capsys):
    (folder / "out").mkdir()
    for pipe in (folder / "maps" / "pipe.png", folder / "out" / "instances.json"):
        os.mkfifo(pipe)
    assert main(["convert", str(folder / "maps"), "--to", "coco", "-o", str(folder / "out")]) == 1
    assert "instances.json: is not a regular file" in capsys.readouterr().err
    assert (folder / "out" / "instances.json").is_fifo()


def test_the_same_conversion_again_is_no_overwriting(folder):
    command = ["convert", str(folder / "maps"), "--to", "labelme", "-o", str(folder / "out")]
    assert main(command) == 0
    before = contents(folder / "out")
    assert main(command) == 0
    assert contents(folder / "out") == before


def test_what_a_killed_conversion_left_is_removed(folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    out, part = folder / "out", unfinished_prefix().replace(f"-{os.getpid()}-", f"-{dead.pid}-") + "a.part"
    (out / "deeper").mkdir(parents=True)
    for place in (out, out / "deeper"):
        (place / part).write_bytes(b"half")
    assert main(["convert", str(folder / "maps"), "--to", "labelme", "-o", str(out)]) == 0
    assert set(contents(out)) == {out / "one.json", out / "deeper" / "two.json"}


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_results_of_parse_are_never_replaced(folder, capsys, options):
    maps = folder / "maps"
    (maps / "panoptic").mkdir()
    ParsingResult(LABELS, LIP).save(maps / "panoptic" / "one.png")
    result = ParsingResult.load(maps / "one.png")
    (maps / "one.json").write_bytes(files(result, "one.jpg", ["json"], [])[".json"]())
    before = contents(maps)
    for target, file in (("labelme", "one.json"), ("panoptic", "panoptic/one.png")):
        assert main(["convert", str(maps), "--to", target, "-o", str(maps), *options]) == 1
        assert f"{file}: is a result of 'ssnan parse'; choose another folder with -o" in capsys.readouterr().err
    assert contents(maps) == before
