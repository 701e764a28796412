import json

import numpy as np
import pytest
import torch

from fakes.hub import fake_hub
from fakes.lip import person
from ssnan.commands import main
from ssnan.models import SSNAN
from ssnan.parsing.card import ModelError
from ssnan.training.checkpoint import load_checkpoint
from ssnan.training.pretrained import PretrainedNetwork


def test_a_checkpoint_comes_back_with_its_labels(plain_run, tmp_path):
    checkpoint = plain_run / "checkpoints" / "best.ckpt"
    (tmp_path / "about.json").write_text(json.dumps({"summary": "For tests."}))
    folder = tmp_path / "pretrained"
    assert main(["publish", str(checkpoint), "-o", str(folder), "--about", str(tmp_path / "about.json")]) == 0
    assert "For tests." in (folder / "README.md").read_text()
    again = PretrainedNetwork.from_pretrained(str(folder))
    assert isinstance(again.task.network, SSNAN)
    assert again.about == {"summary": "For tests."}
    photo = person()[0]
    np.testing.assert_array_equal(again.parser()(photo).labels, load_checkpoint(checkpoint)(photo).labels)


def test_a_checkpoint_s_name_on_the_hub(plain_run, tmp_path, monkeypatch):
    folder = tmp_path / "pretrained"
    assert main(["publish", str(plain_run / "checkpoints" / "best.ckpt"), "-o", str(folder)]) == 0
    with fake_hub({"somebody/network": folder}, monkeypatch, tmp_path / "cache"):
        again = PretrainedNetwork.from_pretrained("somebody/network")
    here = PretrainedNetwork.from_pretrained(str(folder))
    for parameter, other in zip(again.task.parameters(), here.task.parameters(), strict=True):
        assert torch.equal(parameter, other)


def test_a_published_checkpoint_says_what_reads_it(plain_run, tmp_path, capsys):
    folder, photo = tmp_path / "pretrained", tmp_path / "photo.png"
    assert main(["publish", str(plain_run / "checkpoints" / "best.ckpt"), "-o", str(folder)]) == 0
    assert main(["parse", str(photo), "--model", str(folder)]) == 2
    assert "the network of a checkpoint, which PretrainedNetwork.from_pretrained reads" in capsys.readouterr().err


def test_a_checkpoint_replaces_no_files_of_something_else(plain_run, tmp_path, capsys):
    command = ["publish", str(plain_run / "checkpoints" / "best.ckpt"), "-o", str(tmp_path)]
    (tmp_path / "config.json").write_text("{}")
    assert main(command) == 1
    assert "already contains config.json of something else; choose another folder" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("config.json", "{}")]
    (tmp_path / "config.json").unlink()
    assert [main(command), main(command)] == [0, 0]
    (tmp_path / "README.md").write_text("# My project")
    assert main(command) == 1
    assert (tmp_path / "README.md").read_text() == "# My project"


def test_a_checkpoint_published_again_has_its_new_notes(plain_run, tmp_path):
    for summary in ("First.", "Second."):
        (tmp_path / "about.json").write_text(json.dumps({"summary": summary}))
        command = ["publish", str(plain_run / "checkpoints" / "best.ckpt"), "-o", str(tmp_path / "network")]
        assert main([*command, "--about", str(tmp_path / "about.json")]) == 0
    assert "Second." in (tmp_path / "network" / "README.md").read_text()


def test_a_full_disk_leaves_the_published_checkpoint(plain_run, tmp_path, monkeypatch, capsys):
    def full(state, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    command = ["publish", str(plain_run / "checkpoints" / "best.ckpt"), "-o", str(tmp_path)]
    assert main(command) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("ssnan.training.pretrained.save_file", full)
    assert main(command) == 1
    assert capsys.readouterr().err.endswith("No space left on device\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="not a folder of save_pretrained"):
        PretrainedNetwork.from_pretrained(str(tmp_path))
