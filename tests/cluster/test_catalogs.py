import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssnan.cluster.items import StoreError
from ssnan.commands import main
from ssnan.labels import LIP
from ssnan.parsing.card import find_card
from ssnan.results.result import ParsingResult

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Small photos of people, one of them in a folder below, and what is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "deep").mkdir()
    for index, name in enumerate(("astronaut", "grace_hopper", "camera")):
        [path] = EXAMPLES.glob(f"{name}.*")
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((120, 120))
        photo.save(folder / ("deep" if index == 2 else "") / f"{name}.jpg", quality=95)
    (folder / "broken.jpg").write_text("no photo")
    return folder


def rows(folder):
    found = [
        row for path in sorted(Path(folder, "results").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    return {row["name"]: row for row in found}, len(found)


def test_the_same_maps_as_without_workers_and_a_row_for_each(photos, tmp_path, capsys):
    catalog, plain = tmp_path / "catalog", tmp_path / "plain"
    arguments = [str(photos), "--recursive", "--engine", "onnxruntime", "--threads", "1"]
    assert main(["parse", *arguments, "-o", str(plain)]) == 1
    capsys.readouterr()
    assert main(["catalog", *arguments, "-o", str(catalog), "--workers", "2", "--shard", "2"]) == 1
    out, err = capsys.readouterr()
    assert "3 parsed into" in out
    assert "1 failed" in out
    assert "broken.jpg: not an image" in " ".join(err.split())
    found, count = rows(catalog)
    assert set(found) == {"astronaut", "grace_hopper", "broken", "deep/camera"}
    assert count == 4
    assert (found["broken"]["status"], found["broken"]["parts"]) == ("failed", None)
    for name in ("astronaut", "grace_hopper", "deep/camera"):
        mine, theirs = (ParsingResult.load(folder / f"{name}.png") for folder in (catalog / "maps", plain))
        assert np.array_equal(mine.labels, theirs.labels)
        assert {part["name"]: part["area"] for part in found[name]["parts"]} == mine.areas
        assert (found[name]["model"], len(found[name]["checksum"])) == ("small", 64)
    before = {path: path.stat().st_mtime_ns for path in catalog.rglob("*.p*") if path.is_file()}
    assert main(["catalog", *arguments, "-o", str(catalog), "--workers", "2", "--shard", "2"]) == 0
    assert "0 parsed into" in (out := capsys.readouterr().out)
    assert "4 already there" in out
    assert before == {path: path.stat().st_mtime_ns for path in catalog.rglob("*.p*") if path.is_file()}


def test_only_what_is_new_is_parsed(photos, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    command = ["catalog", str(folder), "--workers", "1", "-o", str(tmp_path / "out"), "--into", "parquet"]
    for name, told in (("astronaut", "1 parsed into"), ("grace_hopper", "1 parsed into")):
        (folder / f"{name}.jpg").write_bytes((photos / f"{name}.jpg").read_bytes())
        assert main(command) == 0
        assert told in capsys.readouterr().out
    found, count = rows(tmp_path / "out")
    assert count == 2
    labels = np.array(Image.open(io.BytesIO(found["astronaut"]["map"])))
    assert labels.shape == (found["astronaut"]["height"], found["astronaut"]["width"])


def test_a_name_that_is_not_unicode_is_parsed_like_the_others(photos, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("good.jpg", os.fsdecode(b"bad\xff.jpg")):
        (folder / name).write_bytes((photos / "astronaut.jpg").read_bytes())
    for told in ("2 parsed into", "2 already there"):
        assert main(["catalog", str(folder), "-o", str(out)]) == 0
        assert told in capsys.readouterr().out
    assert set(rows(out)[0]) == {"good", r"bad\udcff"}
    assert {path.name for path in (out / "maps").iterdir()} == {"good.png", r"bad\udcff.png"}


def test_one_folder_holds_one_meaning_of_a_label_file(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    homes = ", ".join(f"{name}: {'head' if name in ('hat', 'hair', 'face') else 'rest'}" for name in LIP.classes[1:])
    text = f"name: mine\nclasses: {{none: black, head: red, rest: blue}}\nfrom: {{background: none, {homes}}}\n"
    swapped = text.replace("head: red, rest: blue", "rest: blue, head: red")
    moved = text.replace("hat: head", "hat: rest")
    for content, status in ((text, 0), (swapped, 2), (moved, 2), (text, 0)):
        Path("my.yaml").write_text(content)
        assert main(["catalog", str(photos / "astronaut.jpg"), "-o", "out", "--labels", "my.yaml"]) == status
        assert ("out: has results with labels_checksum" in capsys.readouterr().err) == (status == 2)


def test_one_folder_holds_results_of_one_model(photos, tmp_path, capsys):
    card = find_card("small")
    path, copy = tmp_path / "small.json", tmp_path / "small.onnx"
    for file in card.all_files():
        shutil.copy(file, tmp_path)
    card.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": {}}))
    command = ["catalog", str(photos / "broken.jpg"), "-o", str(tmp_path / "out"), "--engine", "onnxruntime"]
    assert main([*command, "--model", str(copy)]) == 1
    copy.write_bytes(copy.read_bytes() + b"2\x01x")  # the field doc_string
    assert main([*command, "--model", str(copy)]) == 2
    assert "out: has results with checksum" in capsys.readouterr().err


@pytest.mark.parametrize("into", ["files", "webdataset"])
def test_photos_called_alike_all_have_maps(photos, tmp_path, into, capsys):
    """In two folders of one list, and in a list of a later run."""
    for place in ("one/a.b.jpg", "two/a.b.jpg", "three/a.b.jpg"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_bytes((photos / "astronaut.jpg").read_bytes())
    for places in (["one", "two"], ["three"]):
        (tmp_path / "list.txt").write_text("".join(f"{place}/a.b.jpg\n" for place in places))
        command = ["catalog", str(tmp_path / "list.txt"), "--workers", "1", "-o", str(tmp_path / "out"), "--into", into]
        assert main(command) == 0
        assert f"{len(places)} parsed" in capsys.readouterr().out
    found, count = rows(tmp_path / "out")
    assert len(found) == count == 3
    maps = {path.name for path in (tmp_path / "out" / "maps").rglob("*.png")}
    for path in (tmp_path / "out" / "maps").glob("*.tar"):
        with tarfile.open(path) as tar:
            maps |= {name for name in tar.getnames() if name.count(".") == 1}
    assert maps == {f"{name}.png" for name in found}


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on the loopback with a bucket ``shop``."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    fs.mkdir("shop")
    yield fs
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_from_one_bucket_into_another_folder_of_it(bucket, photos, capsys):
    for name in ("astronaut.jpg", "grace_hopper.jpg"):
        bucket.pipe_file(f"shop/in/{name}", (photos / name).read_bytes())
    command = ["catalog", "s3://shop/in", "--workers", "1", "-o", "s3://shop/out", "--into", "webdataset"]
    assert main(command) == 0
    assert "2 parsed into s3://shop/out" in capsys.readouterr().out
    [table], [tar] = bucket.glob("shop/out/results/*.parquet"), bucket.glob("shop/out/maps/*.tar")
    with bucket.open(table) as file:
        assert pq.read_table(file).column("key").to_pylist() == [
            "s3://shop/in/astronaut.jpg",
            "s3://shop/in/grace_hopper.jpg",
        ]
    with tarfile.open(fileobj=io.BytesIO(bucket.cat_file(tar))) as members:
        assert members.getnames() == ["astronaut.png", "grace_hopper.png"]
    assert bucket.glob("shop/out/pending/*") == []
    assert main(command) == 0
    assert "2 already there" in capsys.readouterr().out


def test_a_killed_driver_loses_and_doubles_nothing(photos, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(16):
        (folder / f"{number:02d}.jpg").write_bytes((photos / "astronaut.jpg").read_bytes())
    command = [sys.executable, "-m", "ssnan", "catalog", str(folder), "--workers", "2", "--shard", "1", "-o", str(out)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 60
    while len(list(out.glob("results/*.parquet"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    done = len(list(out.glob("results/*.parquet")))
    assert 3 <= done < 16
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{16 - done} parsed" in again.stdout
    assert f"{done} already there" in again.stdout
    found, count = rows(out)
    assert count == len(found) == 16
    assert {path.name for path in out.glob("maps/*")} == {f"{number:02d}.png" for number in range(16)}


def test_on_ray(photos, tmp_path):
    command = ["catalog", str(photos), "--ray", "--workers", "1", "--shard", "2", "-o", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-m", "ssnan", *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 1, done.stderr
    assert "2 parsed into" in done.stdout
    found, count = rows(tmp_path / "out")
    assert {name: row["status"] for name, row in found.items()} == {
        "astronaut": "parsed", "grace_hopper": "parsed", "broken": "failed",
    }  # fmt: skip
    assert count == 3
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{in}", "--ray", "photos"], "expected HOST:PORT or ray://HOST:PORT; put inputs before --ray"),
        (["{in}", "--workers", "1", "--into", "parquet", "--save", "json"], "use --save with --into files"),
        (["{in}", "--workers", "1", "-o", "-"], "ssnan catalog does not support standard input and output"),
        (["{in}", "--workers", "1", "--parts", "trousers", "--save", "crop"], "no part 'trousers'"),
        (["s3://nobody/in", "--workers", "1"], "s3://nobody/in: cannot be listed"),
        (["{in}", "--workers", "1", "-o", "/proc/ssnan"], "/proc/ssnan"),
        (["{in}", "-o", "foo://1"], "foo://1: cannot be opened: Protocol not known: foo"),
        (["{in}", "-o", "gs://1"], "gs://1: cannot be opened: "),
        (["{in}", "-o", "s3://shop/maps"], "s3://shop/maps: cannot be opened: "),
        (["{in}", "-o", ""], "-o: expected a folder, got ''; is a variable on the command line empty?"),
        ([""], "'' is not a file; is a variable on the command line empty?"),
        (["{in}", "--workers", "1", "--model", "smal"], "smal"),
        (["{in}", "--workers", "1", "--labels", "nothing"], "nothing"),
        (["{empty}", "--workers", "1"], "no photo in"),
        (["{empty}/list.csv", "--workers", "1"], "cannot be listed"),
        (["{in}", "-o", "{in}/astronaut.jpg"], "astronaut.jpg: is a file; expected a folder for the catalog"),
    ],
)
def test_mistakes_are_one_clear_line_and_leave_nothing(photos, tmp_path, capsys, monkeypatch, arguments, told):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_MAX_ATTEMPTS": "1",
                        "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    given = [argument.format(**{"in": photos, "empty": tmp_path / "empty"}) for argument in arguments]
    assert main(["catalog", *given]) in (1, 2)
    err = capsys.readouterr().err
    assert told in " ".join(err.split())
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "catalog").exists()


def test_a_store_that_fails_says_how_to_continue(photos, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise StoreError("Could not connect")
        yield

    monkeypatch.setattr("ssnan.cluster.workers.in_processes", fail)
    assert main(["catalog", str(photos), "-o", str(tmp_path / "out")]) == 1
    stopped, error = (line for line in capsys.readouterr().err.splitlines() if line.startswith("ssnan: "))
    assert stopped == f"ssnan: stopped; run the same command to continue {tmp_path / 'out'}"
    assert error == f"ssnan: {tmp_path / 'out'}: Could not connect"


def test_parts_that_no_file_would_show_are_refused(photos, tmp_path, capsys):
    assert main(["catalog", str(photos), "-o", str(tmp_path / "out"), "--parts", "hair"]) == 2
    assert "--parts hair: no file would show these parts alone; add --save masks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_what_to_install(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["catalog", str(photos), "-o", str(tmp_path / "out")]) == 2
    assert "a catalog needs pyarrow; pip install 'ssnan[cluster]'" in capsys.readouterr().err


def test_verbose_says_which_engine(photos, tmp_path):
    photo, out = str(photos / "astronaut.jpg"), str(tmp_path / "out")
    command = [sys.executable, "-m", "ssnan", "catalog", photo, "-o", out, "-v"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert "ssnan: engine openvino on small.xml" in said  # the development environment has it
