import shutil
import sys

import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import filter_repo_objects

import ssnan
from fakes.hub import fake_hub
from fakes.lip import person
from ssnan.commands import main
from ssnan.hub.download import card_of, is_hub_name
from ssnan.parsing.card import ModelCard, ModelError, find_card
from ssnan.serving import app


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The bundled model as a folder for the hub; to be read only."""
    folder = tmp_path_factory.mktemp("published") / "small"
    assert main(["publish", "small", "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def hub(published, monkeypatch, tmp_path):
    """A hub that holds it as somebody/small, with an empty cache; gives what it was asked for."""
    with fake_hub({"somebody/small": published}, monkeypatch, tmp_path / "cache") as asked:
        yield asked


def test_a_folder_is_a_model(published):
    photo = person()[0]
    np.testing.assert_array_equal(ssnan.load(published)(photo).labels, ssnan.load()(photo).labels)


def test_a_name_on_the_hub_is_a_model_and_fetched_once(hub, monkeypatch):
    photo = person()[0]
    np.testing.assert_array_equal(ssnan.load("somebody/small")(photo).labels, ssnan.load()(photo).labels)
    fetched = [line for line in hub if line.startswith("GET") and ".onnx" in line]
    assert len(fetched) == 1
    ssnan.load("somebody/small")
    assert [line for line in hub if line.startswith("GET") and ".onnx" in line] == fetched
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody is there
    assert ssnan.load("somebody/small").label_set == ssnan.load().label_set


def test_damaged_weights_of_a_hub_are_not_run(tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    assert main(["publish", "small", "-o", str(copy)]) == 0
    content = bytearray((copy / "small.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "small.onnx").write_bytes(content)
    with (
        fake_hub({"somebody/damaged": copy}, monkeypatch, tmp_path / "cache"),
        pytest.raises(ModelError, match="its checksum differs from that in its card"),
    ):
        ssnan.load("somebody/damaged", engine="onnxruntime")


def test_what_the_hub_lacks_is_said_in_a_line(hub, capsys, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"")
    assert main(["parse", str(photo), "--model", "somebody/else", "-o", str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "somebody/else: no such file or folder, and the hub does not provide it" in line


def test_a_name_on_the_hub_is_served(hub, monkeypatch, capsys):
    served = []
    monkeypatch.setattr(app, "serve", lambda parsers, cards, *_: served.append((parsers, cards)) or 0)
    options = ["serve", "--engine", "onnxruntime", "--threads", "1", "--model", "somebody/small@v1.0"]
    assert main(options) == 0
    [(parsers, cards)] = served
    assert list(parsers) == list(cards) == ["small@v1.0"]
    assert parsers["small@v1.0"].label_set == cards["small@v1.0"].label_set
    assert main([*options, "--model", "somebody/else"]) == 2
    assert "somebody/else: no such file or folder" in capsys.readouterr().err


def test_without_the_client_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install 'ssnan\[hub\]'"):
        ssnan.load("somebody/small")


def test_commands_know_the_hub_too(hub, published, tmp_path, capsys):
    assert main(["publish", "somebody/small", "-o", str(tmp_path / "copy")]) == 0
    assert (tmp_path / "copy" / "small.onnx").read_bytes() == (published / "small.onnx").read_bytes()
    assert card_of("somebody/small").name == "small"
    assert card_of("somebody/small.ckpt") is None
    assert main(["bench", str(tmp_path / "none.png"), "--model", "somebody/small"]) == 1
    assert "none.png: no such file" in capsys.readouterr().err
    assert main(["bench", str(tmp_path / "none.png"), "--model", "runs/best.ckpt"]) == 1
    assert "'ssnan export' makes one of a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/b", True), ("a/b@v1.0", True), ("small", False), ("a/b.onnx", False), ("a/b/c", False), ("../b c", False)],
)
def test_names_of_the_hub(name, expected):
    assert is_hub_name(name) == expected


def test_what_lies_here_goes_first(tmp_path, monkeypatch):
    (tmp_path / "somebody" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_hub_name("somebody/small")
    with pytest.raises(ModelError, match=r"one \.onnx file and its card, found 0"):
        ssnan.load("somebody/small")


def test_an_empty_name_is_no_model(published, monkeypatch):
    monkeypatch.chdir(published)
    with pytest.raises(ModelError, match="model '': expected one of small"):
        ssnan.load("")


def test_the_page_says_what_the_card_has_measured(published):
    page = (published / "README.md").read_text()
    _, head, body = page.split("---\n", 2)
    metadata = yaml.safe_load(head)
    about = find_card("small").about
    assert metadata["library_name"] == "ssnan"
    assert metadata["pipeline_tag"] == "image-segmentation"
    results = {
        result["dataset"]["name"]: result["metrics"][0]["value"] for result in metadata["model-index"][0]["results"]
    }
    means = {name: values["mean_iou"] for name, values in about["measured"].items() if "mean_iou" in values}
    assert results == {name: round(100 * mean_iou, 1) for name, mean_iou in means.items()}
    for name, mean_iou in means.items():
        assert f"| {name} | {100 * mean_iou:.1f} |" in body
    assert "nobody val" not in body  # its masks have no parts, so there is no mean over classes
    assert about["licence"] in body
    assert all(text in body for text in about["data"].values())


def test_one_folder_holds_one_model(published, tmp_path, capsys):
    (tmp_path / "other.onnx").write_bytes(b"")
    assert main(["publish", "small", "-o", str(tmp_path)]) == 1
    assert "already contains other.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["README.md", "small.json", "small.bin"])
def test_files_of_something_else_are_kept(tmp_path, capsys, name):
    (tmp_path / name).write_text("{}")
    assert main(["publish", "small", "-o", str(tmp_path)]) == 1
    assert f"already contains {name} of something else; choose another folder" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "{}")]


def test_a_readme_of_a_project_is_kept_also_beside_the_model_s_card(published, tmp_path, capsys):
    project = tmp_path / "project"
    shutil.copytree(published, project)
    (project / "README.md").write_text("# My project\n")
    assert main(["publish", str(project / "small.onnx"), "-o", str(project)]) == 1
    assert "already contains README.md of something else; choose another folder" in capsys.readouterr().err
    assert (project / "README.md").read_text() == "# My project\n"


def test_a_model_is_published_again_into_its_folder(tmp_path):
    for _ in range(2):
        assert main(["publish", "small", "-o", str(tmp_path)]) == 0


def test_only_files_of_the_model_are_uploaded(tmp_path, monkeypatch):
    uploaded = []

    def upload(self, *, folder_path, allow_patterns=None, **_):
        paths = [path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*") if path.is_file()]
        uploaded.extend(filter_repo_objects(paths, allow_patterns=allow_patterns))

    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: None)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    for name in (".env", "photo.jpg", "runs/best.ckpt", "runs/small.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("private")
    assert main(["publish", "small", "-o", str(tmp_path), "--to", "me/small"]) == 0
    files = [file.name for file in find_card("small").all_files()]
    assert sorted(uploaded) == sorted(["README.md", "small.json", *files])


def test_what_cannot_be_read_or_written_is_a_line(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert main(["publish", "small", "-o", str(tmp_path / "file" / "x")]) == 1
    assert main(["publish", "small", "-o", str(tmp_path / "x"), "--about", str(tmp_path / "none.json")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not (tmp_path / "x").exists()


def test_notes_of_a_model_with_a_card_are_refused(tmp_path, capsys):
    (tmp_path / "about.json").write_text('{"summary": "Mine."}')
    assert main(["publish", "small", "-o", str(tmp_path / "x"), "--about", str(tmp_path / "about.json")]) == 2
    assert "--about is for checkpoints; small has notes in its card" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_full_disk_leaves_no_half_of_a_model(tmp_path, monkeypatch, capsys):
    def full(card, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ModelCard, "write", full)
    assert main(["publish", "small", "-o", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
