import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssnan.commands import main, parse
from ssnan.errors import quoted
from ssnan.io.writing import unfinished_prefix
from ssnan.results.colors import DISTINCT
from ssnan.results.result import ParsingResult

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(color_parser, tmp_path, capsysbinary, monkeypatch):
    """``ssnan parse`` with a parser that calls red hair; status, standard output, standard error."""

    def loaded(options, labels, colors, largest):
        return color_parser.with_options(labels, colors, largest=largest)

    monkeypatch.setattr(parse, "load_parser", loaded)

    def run(*arguments, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main(["parse", *map(str, arguments)])
        except SystemExit as ended:
            status = ended.code
        out, err = capsysbinary.readouterr()
        return status, out, " ".join(err.decode().split())

    return run


def write_photo(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20), color).save(path)
    return path


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_kinds_and_parts_are_joined_by_commas_and_swallow_no_photo(run, tmp_path):
    photo, out = write_photo(tmp_path / "p.jpg"), tmp_path / "out"
    assert run("--save", "json,masks", "--parts", "hair,face", photo, "-o", out)[0] == 0
    assert names(out) == {"p.png", "p.json", "p.mask.hair.png", "p.mask.face.png"}


def test_people_are_saved_apart(run, tmp_path):
    photo, out = tmp_path / "p.png", tmp_path / "out"
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[5:35, 5:25, 0] = pixels[10:35, 50:65, 0] = 255
    Image.fromarray(pixels).save(photo)
    assert run("--people", "--save", "overlay,json", photo, "-o", out)[0] == 0
    assert names(out) == {"p.png", "p.overlay.png", "p.json", "p.people.png", "p.person1.png", "p.person2.png"}
    numbers = np.asarray(Image.open(out / "p.people.png"))
    whole = ParsingResult.load(out / "p.png")
    for number in (1, 2):
        own = ParsingResult.load(out / f"p.person{number}.png")
        np.testing.assert_array_equal(own.labels, np.where(numbers == number, whole.labels, 0))
        assert own.labels.any()
    assert json.loads((out / "p.json").read_text())["count"] == 2
    one, other = (np.asarray(Image.open(out / "p.overlay.png"))[20, x] for x in (15, 57))
    assert (one != other).any()


def test_the_map_of_a_person_never_replaces_another_result(run, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    for name in ("p.jpg", "p.person1.jpg"):
        write_photo(photos / name)
    assert run("--people", photos, "-o", out)[0] == 0
    assert {"p.png", "p.person1.png", "p.person1.jpg.png", "p.person1.jpg.person1.png"} <= names(out)


def test_photos_stand_before_and_after_flags(run, tmp_path, monkeypatch):
    for name in ("a.jpg", "b.jpg", "-c.jpg"):
        write_photo(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert run("a.jpg", "--save", "json", "b.jpg", "-o", "out", "--", "-c.jpg")[0] == 0
    assert names(tmp_path / "out") == {f"{stem}.{ending}" for stem in ("a", "b", "-c") for ending in ("png", "json")}


def test_blanks_between_them_are_named(run, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    status, _, err = run(photo, "--save", "masks", "overlay", "--parts", "hair", "face", "-o", tmp_path / "out")
    assert status == 1
    assert "overlay: no such file; separate several values of --save by commas" in err
    assert "face: no such file; separate several values of --parts by commas" in err


def test_unknown_kinds_and_parts_are_met_with_what_was_meant(run, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    status, _, err = run(photo, "--parts", "hare")
    assert status == 2
    assert "no part 'hare'; did you mean 'hair'?" in err
    status, _, err = run(photo, "--save", "overly")
    assert status == 2
    assert "did you mean 'overlay'?" in err


@pytest.mark.parametrize("save", [(), ("--save", "json,overlay", "--people")])
def test_parts_that_no_file_would_show_are_refused(run, tmp_path, save):
    photo = write_photo(tmp_path / "p.jpg")
    status, _, err = run(photo, "--parts", "hair", "--parts", "face", *save, "-o", tmp_path / "out")
    told = "--parts hair,face: no file would show these parts alone; add --save masks or cutout or crop"
    assert (status, err) == (2, f"ssnan: {told}")
    assert not (tmp_path / "out").exists()


def test_from_standard_input_to_standard_output(run, tmp_path):
    content = write_photo(tmp_path / "p.png").read_bytes()
    status, out, _ = run("-", "-o", "-", stdin=content)
    assert status == 0
    assert (np.asarray(Image.open(io.BytesIO(out))) == 2).all()
    status, out, _ = run("-", "-o", "-", "--save", "json", stdin=content)
    assert json.loads(out)["parts"]["hair"]["area"] == 600
    status, out, _ = run("-", "-o", tmp_path / "out", stdin=content)
    assert (status, names(tmp_path / "out")) == (0, {"stdin.png"})
    status, out, err = run("-", "-o", "-", stdin=b"no photo")
    assert (status, out) == (1, b"")
    assert "standard input: not an image" in err


def test_only_one_thing_goes_to_standard_output(run, tmp_path):
    one, two = write_photo(tmp_path / "1.jpg"), write_photo(tmp_path / "2.jpg")
    for arguments in ([one, two], [one, "--save", "json,overlay"], [one, "--save", "masks"], [one, "--people"]):
        status, out, err = run(*arguments, "-o", "-")
        assert (status, out) == (2, b"")
        assert "writes one file of one photo" in err
    green = write_photo(tmp_path / "green.jpg", "green")
    status, out, err = run(green, "-o", "-", "--save", "crop")
    assert (status, out) == (1, b"")
    assert "nothing to crop, no person in it" in err


def test_a_folder_of_that_name_is_no_standard_output(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = write_photo(tmp_path / "p.jpg")
    status, said, _ = run(photo, "-o", "./-")
    assert (status, said) == (0, f"1 parsed into {tmp_path / '-'}\n".encode())
    assert names(tmp_path / "-") == {"p.png"}


def test_a_file_named_as_standard_output_is_in_nobody_s_way(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(b"")
    status, out, _ = run(write_photo(tmp_path / "p.jpg"), "-o", "-")
    assert (status, Image.open(io.BytesIO(out)).size) == (0, (30, 20))


def test_an_interrupted_folder_goes_on(run, tmp_path):
    for name in "abc":
        write_photo(tmp_path / "in" / f"{name}.jpg")
    out = tmp_path / "out"
    assert run(tmp_path / "in" / "a.jpg", "-o", out)[0] == 0
    written = (out / "a.png").stat().st_mtime_ns
    status, said, _ = run(tmp_path / "in", "-o", out, "--skip-existing")
    assert (status, said) == (0, f"2 parsed into {out}, 1 skipped\n".encode())
    assert (out / "a.png").stat().st_mtime_ns == written


@pytest.mark.parametrize("out", ["parsed", "."])
def test_results_inside_the_input_are_not_parsed_again(run, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "deep/b.jpg"):
        write_photo(tmp_path / name)
    command = (".", "--recursive", "-o", out, "--save", "overlay,crop")
    assert run(*command)[:2] == (0, f"2 parsed into {out}\n".encode())
    files = set(tmp_path.rglob("*"))
    assert run(*command)[:2] == (0, f"2 parsed into {out}\n".encode())
    assert run(*command, "--skip-existing")[:2] == (0, f"0 parsed into {out}, 2 skipped\n".encode())
    assert set(tmp_path.rglob("*")) == files


def test_errors_show_at_once_and_again_at_the_end(run, tmp_path):
    write_photo(tmp_path / "in" / "good.jpg")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"")
    status, out, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert err.count("bad.jpg: not an image") == 2
    assert "1 not parsed:" in err
    assert b"1 parsed into" in out


def test_inputs_without_a_photo_are_not_passed_over(run, tmp_path):
    photo, out = write_photo(tmp_path / "p.jpg"), tmp_path / "out"
    (tmp_path / "empty").mkdir()
    status, said, err = run(photo, tmp_path / "empty", tmp_path / "*.tif", "-o", out)
    assert (status, said) == (1, f"1 parsed into {out}\n".encode())
    assert f"no photo in {tmp_path / 'empty'}" in err
    assert f"no photo in {quoted(tmp_path / '*.tif')}" in err
    assert run(photo, tmp_path / "empty", "-o", "-")[0] == 2


def test_a_link_to_a_missing_photo_is_not_passed_over(run, tmp_path):
    out = tmp_path / "out"
    write_photo(tmp_path / "in" / "good.jpg")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "unmounted" / "gone.jpg")
    status, said, err = run(tmp_path / "in", "-o", out)
    assert (status, said) == (1, f"1 parsed into {out}\n".encode())
    assert "gone.jpg: no such file" in err


def test_a_photo_in_two_spellings_is_parsed_once(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "p.jpg")
    monkeypatch.chdir(tmp_path)
    assert run("p.jpg", tmp_path / "p.jpg", "-o", "out") == (0, b"1 parsed into out\n", "")


def test_folders_of_folders_are_hinted_at(run, tmp_path):
    write_photo(tmp_path / "in" / "deep" / "a.jpg")
    status, _, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert status == 2
    assert "--recursive includes them" in err
    write_photo(tmp_path / "in" / "b.jpg")
    status, _, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert status == 0
    assert "contain photos; --recursive includes them" in err
    status, _, err = run(tmp_path / "in", "-o", tmp_path / "out", "--recursive")
    assert (status, "subfolders" in err) == (0, False)
    assert names(tmp_path / "out") == {"b.png", "deep"}


def test_two_endings_of_one_name_both_get_a_result(run, tmp_path):
    write_photo(tmp_path / "in" / "x.jpg")
    write_photo(tmp_path / "in" / "x.png", "blue")
    write_photo(tmp_path / "in" / "x.overlay.jpg")
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--save", "overlay")[0] == 0
    stems = ("x.jpg", "x.png", "x.overlay.jpg")
    assert names(tmp_path / "out") == {f"{stem}.{end}" for stem in stems for end in ("png", "overlay.png")}


@pytest.mark.parametrize(
    "name", ["ä ö.jpg", "-x.jpg", "[1].jpg", "a%s{}.jpg", "[red]bold.jpg", ".hidden.jpg", "x.JPEG"]
)
def test_odd_names(run, tmp_path, name, monkeypatch):
    photo = write_photo(tmp_path / "in" / name)
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--save", "json")[0] == 0
    assert names(tmp_path / "out") == {f"{photo.stem}.png", f"{photo.stem}.json"}
    assert json.loads((tmp_path / "out" / f"{photo.stem}.json").read_text())["image"] == name
    photo.write_bytes(b"")
    status, _, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert f"{quoted(photo)}: not an image" in err


def test_output_in_another_encoding_is_escaped(color_parser, tmp_path, monkeypatch):
    monkeypatch.setattr(parse, "load_parser", lambda *_: color_parser)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main(["parse", str(write_photo(tmp_path / "p.jpg")), "-o", str(tmp_path / "größe")]) == 0
    assert sys.stdout.buffer.getvalue() == f"1 parsed into {tmp_path}/gr\\xf6\\xdfe\n".encode()


def test_as_a_program(tmp_path):
    command = [sys.executable, "-m", "ssnan", "parse", "-", "-o", "-"]
    content = (EXAMPLES / "camera.png").read_bytes()
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    assert Image.open(io.BytesIO(done.stdout)).size == (512, 512)


def test_names_cannot_speak_to_the_terminal(run, tmp_path):
    write_photo(tmp_path / "in" / "good.jpg")
    (tmp_path / "in" / "bad\n\x1b]0;title\x07\x1b[31m.jpg").write_bytes(b"")
    os.link(tmp_path / "in" / "good.jpg", os.fsencode(tmp_path / "in") + b"/\xff\x1b[2J.jpg")
    status, out, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert b"2 parsed into" in out
    assert "\x1b]0" not in err
    assert "\\x1b]0;title\\x07" in err
    assert err.count("bad\\n") == 2  # where it failed, and in the list at the end


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("name", ["loop.jpg", "x" * 300 + ".jpg", "d/" * 2500 + "x.jpg", "pipe.jpg", "none.jpg"])
def test_what_cannot_be_read_is_one_line_and_the_rest_goes_on(run, tmp_path, name):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    good = write_photo(tmp_path / "good.jpg")
    status, out, err = run(tmp_path / name, good, "-o", tmp_path / "out")
    assert status == 1
    assert b"1 parsed into" in out
    assert "Traceback" not in err
    assert names(tmp_path / "out") == {"good.png"}


def test_an_empty_name_is_no_folder(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "p.jpg")
    monkeypatch.chdir(tmp_path)
    status, _, err = run("", "p.jpg")
    assert status == 2
    assert "'' is not a file" in err
    status, _, err = run("p.jpg", "-o", "")
    assert status == 2
    assert "expected a folder, got ''" in err
    for flag in ("--parts", "--save"):
        status, _, err = run("p.jpg", flag, ",")
        assert (status, f"{flag}: expected names separated by commas, got ','; is a variable" in err) == (2, True)
    assert names(tmp_path) == {"p.jpg"}


@pytest.mark.parametrize("output", ["x" * 300, "d/" * 2500, "file/below"])
def test_an_output_that_cannot_be_is_one_line(run, tmp_path, output):
    (tmp_path / "file").write_text("")
    status, _, err = run(write_photo(tmp_path / "p.jpg"), "-o", tmp_path / output)
    assert status in (1, 2)
    assert err.startswith("ssnan: ")
    assert ".part" not in err


@pytest.mark.parametrize("options", [["--workers", "2"], ["--ray"], ["--into=parquet"]])
def test_options_of_catalogs_name_their_command(run, tmp_path, options):
    status, _, err = run("in/astronaut.png", *options)
    flag = options[0].partition("=")[0]
    assert (status, err) == (2, f"ssnan: {flag} is an option of another command: ssnan catalog INPUT")


def test_results_in_a_bucket_are_for_catalogs(run, tmp_path):
    status, _, err = run("in/astronaut.png", "-o", "s3://shop/maps")
    assert status == 2
    assert "got 's3://shop/maps'; only ssnan catalog takes addresses" in err
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize("threads", ["0", "-1", "1" * 30, "100000", "two"])
def test_numbers_of_threads_have_a_limit(run, tmp_path, threads):
    status, _, err = run(write_photo(tmp_path / "p.jpg"), "--threads", threads)
    assert status == 2
    assert "expected a number of threads" in err


def many_photos(folder, count=40):
    camera = EXAMPLES / "camera.png"
    folder.mkdir()
    for number in range(count):
        shutil.copy(camera, folder / f"{number}.png")
    return folder


POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and shells of POSIX")


@POSIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_between_photos_and_leaves_nothing_unfinished(tmp_path, name):
    number = getattr(signal, name)
    folder, out = many_photos(tmp_path / "in"), tmp_path / "out"
    command = [sys.executable, "-m", "ssnan", "parse", str(folder), "-o", str(out), "--save", "overlay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not out.is_dir() or not names(out):
            assert time.monotonic() < deadline, "nothing is parsed"
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert "stopped" in err
    assert "--skip-existing to continue" in " ".join(err.split())
    done = {name.removesuffix(".overlay.png") for name in names(out) if name.endswith(".overlay.png")}
    assert names(out) == {f"{stem}{ending}" for stem in done for ending in (".png", ".overlay.png")}
    assert 0 < len(done) < 40


@POSIX
def test_a_reader_that_went_away_and_a_full_output_are_no_traceback(tmp_path):
    command = f"{sys.executable} -m ssnan parse {write_photo(tmp_path / 'p.jpg')} -o {tmp_path / 'out'}"
    gone = subprocess.run(["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert gone.stderr.strip() == ""
    if Path("/dev/full").exists():
        full = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True)
        assert full.returncode == 1
        assert full.stderr.strip() == "ssnan: standard output: No space left on device"


def test_what_a_killed_run_left_is_swept_and_what_a_living_one_writes_is_not(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = f"{unfinished_prefix()}a.part"
    ours = living.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    for name in (living, ours, ".ssnan-00000000-1-elsewhere.part"):
        (out / name).write_bytes(b"half")
    (out / ours.replace("a.part", "video")).mkdir()
    assert run(write_photo(tmp_path / "p.jpg"), "-o", out)[0] == 0
    assert names(out) == {"p.png", living, ".ssnan-00000000-1-elsewhere.part"}
    os.utime(out / ".ssnan-00000000-1-elsewhere.part", (0, 0))
    assert run(tmp_path / "p.jpg", "-o", out)[0] == 0
    assert names(out) == {"p.png", living}


def test_two_processes_share_a_folder(tmp_path):
    folder, out = many_photos(tmp_path / "in", 4), tmp_path / "out"
    command = [sys.executable, "-m", "ssnan", "parse", str(folder), "-o", str(out), "--save", "json"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert names(out) == {f"{number}.{ending}" for number in range(4) for ending in ("png", "json")}
    maps = [np.asarray(Image.open(out / f"{number}.png")) for number in range(4)]
    assert all(np.array_equal(found, maps[0]) for found in maps)


def test_a_photo_s_size_has_a_limit_that_the_user_sets(tmp_path, capsys):
    Image.new("RGB", (1100, 1000)).save(tmp_path / "large.png")
    write_photo(tmp_path / "small.jpg")
    assert main(["parse", str(tmp_path), "-o", str(tmp_path / "out"), "--max-megapixels", "1"]) == 1
    assert "1100 × 1000 is more than 1 million pixels" in " ".join(capsys.readouterr().err.split())
    assert names(tmp_path / "out") == {"small.png"}
    with pytest.raises(SystemExit):
        main(["parse", str(tmp_path), "--max-megapixels", "151"])
    assert "expected millions of pixels, 1 to 150" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "ssnan: not enough memory\n"),
        (
            RuntimeError("can't start new thread"),
            "ssnan: cannot start a thread: too little memory, or too many processes\n",
        ),
    ],
)
def test_too_little_memory_is_a_line(error, line, tmp_path, monkeypatch, capsys):
    def loaded(*arguments, **options):
        raise error

    monkeypatch.setattr(parse, "load_parser", loaded)
    assert main(["parse", str(write_photo(tmp_path / "p.jpg")), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr() == ("", line)


def test_another_runtime_error_is_not_called_too_little_memory(tmp_path, monkeypatch):
    def loaded(*arguments, **options):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(parse, "load_parser", loaded)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main(["parse", str(write_photo(tmp_path / "p.jpg")), "-o", str(tmp_path / "out")])


def test_a_photo_that_needs_too_much_memory_does_not_stop_the_others(tmp_path, monkeypatch, color_parser, capsys):
    def scores(pixels):
        if pixels.shape[3] > 200:
            raise MemoryError
        return own(pixels)

    own = color_parser.engine
    color_parser.engine = scores
    monkeypatch.setattr(parse, "load_parser", lambda *arguments, **options: color_parser)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "small.png")
    Image.new("RGB", (300, 300), "red").save(tmp_path / "large.png")
    assert main(["parse", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    assert "large.png: not enough memory for a photo of this size" in " ".join(capsys.readouterr().err.split())
    assert names(tmp_path / "out") == {"small.png"}


def test_other_labels_and_clear_colours(run, tmp_path):
    photo, out = write_photo(tmp_path / "p.jpg"), tmp_path / "out"
    options = ("--labels", "merged", "--colors", "distinct", "--save", "masks", "--parts", "skin,hair")
    assert run(photo, "-o", out, *options)[0] == 0
    found = ParsingResult.load(out / "p.png")
    assert found.label_set.classes == ("background", "hair", "skin", "clothes")
    assert found.label_set.palette[1] == DISTINCT[0]
    assert found.mask("hair").all()
    assert names(out) == {"p.png", "p.mask.skin.png", "p.mask.hair.png"}


def test_the_largest_figure_alone(run, tmp_path):
    photo, out = Image.new("RGB", (80, 40)), tmp_path / "out"
    photo.paste("red", (5, 5, 25, 35))
    photo.paste("red", (50, 10, 65, 35))
    photo.save(tmp_path / "p.png")
    people = []
    for options in ((), ("--largest",)):
        assert run(tmp_path / "p.png", "-o", out, "--save", "json", *options)[0] == 0
        people.append(json.loads((out / "p.json").read_text())["count"])
    assert people == [2, 1]
    assert not ParsingResult.load(out / "p.png").labels[:, 45:].any()


def test_other_labels_that_cannot_be(run, tmp_path):
    photo = write_photo(tmp_path / "p.jpg")
    status, _, err = run(photo, "--labels", "cihp", "-o", tmp_path / "out")
    assert (status, "expected one of atr" in err) == (2, True)
    status, _, err = run(photo, "--labels", "merged", "--parts", "coat", "-o", tmp_path / "out")
    assert (status, "expected one of background, hair, skin, clothes" in err) == (2, True)
    assert not (tmp_path / "out").exists()
