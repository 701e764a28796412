import os
from pathlib import Path

from PIL import Image

from ssnan.io.storing import png_info
from ssnan.parsing.inputs import STANDARD_INPUT, find_inputs, inputs_below


def write_photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2)).save(path)
    return path


def test_files_folders_and_patterns(tmp_path):
    one = write_photo(tmp_path / "in" / "one.jpg")
    deep = write_photo(tmp_path / "in" / "deep" / "two.png")
    (tmp_path / "in" / "notes.txt").write_text("no photo")
    folder = str(tmp_path / "in")
    assert set(find_inputs([folder], recursive=False)) == {one}
    found = find_inputs([folder], recursive=True)
    assert {str(name) for name in found.values()} == {"one", "deep/two"}
    assert set(found) == {one, deep}
    assert set(find_inputs([f"{folder}/*.jpg"], recursive=False)) == {one}
    assert find_inputs([f"{folder}/*.gif"], recursive=False) == {}
    assert find_inputs(["-"], recursive=False) == {STANDARD_INPUT: Path("stdin")}


def named(*names):
    """Names of the results of files with these names, which need not exist."""
    return [str(name) for name in find_inputs(names, recursive=False).values()]


def test_endings_stay_only_where_two_results_would_have_one_name():
    assert named("x.jpg", "y.png") == ["x", "y"]
    assert named("x.jpg", "x.png", "y.png") == ["x.jpg", "x.png", "y"]
    assert named("x.jpg", "x.png", "x.jpg.png") == ["x.jpg", "x.png", "x.jpg.png"]
    assert named("x.jpg", "x.jpg.png") == ["x", "x.jpg.png"]  # the result of x.png, if there were one, is x.jpg.png too
    assert named("x", "x.jpg") == ["x", "x.jpg"]
    assert named("one/x.jpg", "two/x.jpg", "y.png") == ["x", "x", "y"]  # the caller reports the two
    assert named("x.jpg", "x.mp4") == ["x", "x"]  # x.png, and x.labels.mkv
    assert named("x.mov", "x.mp4") == ["x.mov", "x.mp4"]
    assert named("a.b.jpg", "a.c.jpg") == ["a.b", "a.c"]


def test_a_photo_named_as_another_s_result_keeps_its_ending():
    assert named("a.jpg", "a.overlay.jpg") == ["a", "a.overlay.jpg"]
    assert named("a.jpg", "a.mask.hair.jpg", "b.json.png") == ["a", "a.mask.hair.jpg", "b.json"]
    assert named("a.overlay.jpg") == ["a.overlay"]


def test_photos_below_a_folder(tmp_path):
    write_photo(tmp_path / "top.jpg")
    assert not inputs_below(tmp_path)
    write_photo(tmp_path / "one" / "two" / "deep.jpg")
    assert inputs_below(tmp_path)


def test_a_folder_that_cannot_be_listed_stands_for_itself(tmp_path, monkeypatch):
    write_photo(tmp_path / "in" / "one.jpg")
    locked = tmp_path / "in" / "locked"
    locked.mkdir()
    listdir, scandir = os.listdir, os.scandir

    def refuse(call):
        def guarded(path):
            if Path(path) == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return call(path)

        return guarded

    monkeypatch.setattr(os, "listdir", refuse(listdir))
    monkeypatch.setattr(os, "scandir", refuse(scandir))
    assert list(find_inputs([str(locked)], recursive=False)) == [locked]
    found = find_inputs([str(tmp_path / "in")], recursive=True)
    assert set(found) == {tmp_path / "in" / "one.jpg", locked}
    assert found[locked] == Path("locked")


def test_two_spellings_of_a_photo_are_one_input_and_a_link_is_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photo(Path("in/a.jpg"))
    Path("in/link.jpg").symlink_to("a.jpg")
    Path("elsewhere").mkdir()
    write_photo(tmp_path / "b.jpg")
    write_photo(tmp_path / "elsewhere" / "deep" / "b.jpg")
    Path("linked").symlink_to("elsewhere/deep")
    assert list(find_inputs(["in/a.jpg", str(tmp_path / "in" / "a.jpg"), "in/../in"], False).items()) == [
        (Path("in/a.jpg"), Path("a")),
        (Path("in/../in/link.jpg"), Path("link")),
    ]
    assert len(find_inputs(["b.jpg", "elsewhere/deep/b.jpg", "linked/b.jpg"], False)) == 2
    write_photo(tmp_path / "elsewhere" / "b.jpg")
    assert len(find_inputs(["b.jpg", "linked/../b.jpg"], False)) == 2  # the folder above the linked one


def test_a_link_to_a_missing_photo_is_an_input(tmp_path):
    write_photo(tmp_path / "a.jpg")
    for name in ("gone.jpg", "gone.mp4", "notes.txt"):
        (tmp_path / name).symlink_to(tmp_path / "unmounted" / name)
    expected = {tmp_path / name for name in ("a.jpg", "gone.jpg", "gone.mp4")}
    assert set(find_inputs([str(tmp_path)], recursive=False)) == expected
    assert set(find_inputs([str(tmp_path)], recursive=True)) == expected
    assert set(find_inputs([f"{tmp_path}/g*.jpg"], recursive=False)) == {tmp_path / "gone.jpg"}


def test_results_in_folders_and_patterns_are_no_inputs(tmp_path):
    photo, other = write_photo(tmp_path / "a.jpg"), write_photo(tmp_path / "out" / "b.png")
    result = tmp_path / "out" / "a.png"
    Image.new("L", (3, 2)).save(result, pnginfo=png_info(photo="a.jpg"))
    assert set(find_inputs([str(tmp_path)], recursive=True)) == {photo, other}
    assert set(find_inputs([f"{tmp_path}/out/*.png"], recursive=False)) == {other}
    assert set(find_inputs([str(result)], recursive=False)) == {result}


def test_pipes_in_folders_are_never_opened(tmp_path):
    """Opening one would wait forever."""
    photo = write_photo(tmp_path / "a.jpg")
    (tmp_path / "deep").mkdir()
    for name in ("pipe", "pipe.jpg", "pipe.png", "deep/pipe"):
        os.mkfifo(tmp_path / name)
    for recursive in (False, True):
        assert list(find_inputs([str(tmp_path), f"{tmp_path}/p*"], recursive)) == [photo]
    assert not inputs_below(tmp_path)


def test_one_photo_below_a_folder_is_enough(tmp_path, monkeypatch):
    for name in "ab":
        write_photo(tmp_path / name / "one.jpg")
    listed = []
    monkeypatch.setattr(os, "scandir", lambda path, scan=os.scandir: listed.append(str(path)) or scan(path))
    assert inputs_below(tmp_path)
    assert len(listed) == 2


def test_a_file_named_as_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "a.jpg").rename("-")
    for given in ("./-", ".", str(tmp_path / "-"), "[-]"):
        assert find_inputs([given], recursive=False) == {tmp_path / "-": Path("-")}
    assert list(find_inputs(["-", "./-"], recursive=False)) == [STANDARD_INPUT, tmp_path / "-"]
