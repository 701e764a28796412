import json

import numpy as np
import pytest
import torch

import ssnan
from experiments.full_size import systems
from experiments.measuring import Measured
from fakes.lip import write_lip
from ssnan.training.checkpoint import read_content


@pytest.fixture
def lip(recipe, tmp_path, monkeypatch):
    """A tiny training on this dataset for every system, at a rate that changes nothing after the first step of two."""

    def arguments_of(name, also):
        rate = "1e-12" if name in systems.SECOND else "0.01"
        flags = ["--data.samples_per_epoch", "4", "--model.sgd.learning_rate", rate, "--model.sgd.warmup", "0"]
        return [*recipe, *flags, *(word for file in also for word in ("--config", file))]

    monkeypatch.setattr(systems, "arguments_of", arguments_of)
    return tmp_path / "lip"


def nothing(name):
    return []


def weights(folder, name):
    """The parameters of a checkpoint, without what norms have seen."""
    state = read_content(folder / name / "last.ckpt")["state_dict"]
    return {name: value for name, value in state.items() if "running" not in name and "num_batches" not in name}


def test_from_the_first_step_to_counts(lip, tmp_path, capsys):
    out = tmp_path / "out"
    trainings = systems.Trainings(nothing, out)
    systems.train(trainings, ["ss_nan_step2"], 1)
    assert "ss_nan_step2: waits for ss_nan" in capsys.readouterr().out
    systems.train(trainings, ["ss_nan", "ss_nan_step2"], 1)
    first, second = weights(out, "ss_nan"), weights(out, "ss_nan_step2")
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    numbers = json.loads((out / "ss_nan" / "numbers.json").read_text())
    assert (numbers["chip"], numbers["crops"]) == ("CPU", 4)
    assert numbers["parameters"] == sum(value.numel() for value in first.values())

    written = (out / "ss_nan" / "last.ckpt").stat().st_mtime_ns
    systems.train(trainings, ["ss_nan"], 1)
    assert (out / "ss_nan" / "last.ckpt").stat().st_mtime_ns == written

    joints = write_lip(tmp_path / "lip-photos")
    systems.measure(["ss_nan", "average"], nothing, [lip, joints], out)
    assert not (out / "average").exists()
    assert Measured.read(out / "ss_nan" / "lip.npz").pixels.shape == (2, 3, 20)
    assert Measured.read(out / "ss_nan" / "lip-photos.npz").pixels.shape == (0, 3, 20)
    assert Measured.read(out / "ss_nan" / "lip-photos.npz").sides.shape == (2, 1, 4)
    labels = ssnan.load(out / "ss_nan" / "last.ckpt")(np.zeros((40, 30, 3), np.uint8)).labels
    assert labels.shape == (40, 30)


def test_nothing_begins_when_time_is_over(lip, tmp_path, capsys):
    out = tmp_path / "out"
    systems.train(systems.Trainings(nothing, out), [], -1)
    assert "the same command goes on" in capsys.readouterr().out
    assert not out.exists()


def test_tables_are_printed_from_a_folder(monkeypatch, capsys):
    counts = systems.__file__.replace("systems.py", "counts")
    monkeypatch.setattr("sys.argv", ["systems.py", "tables", counts])
    systems.main()
    printed = capsys.readouterr().out
    assert "| average | 36.61 | 35.75 | 37.66 | +1.14 (+0.75 … +1.56) |" in printed
    assert "| mean IoU | 42.22 | 42.30 | +0.08 (-0.09 … +0.26) |" in printed
