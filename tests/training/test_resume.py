"""A run that goes on, or starts again, in a folder with files of an earlier one."""

import shutil

import pytest
import torch

from ssnan.data.folder import DatasetError
from ssnan.training.cli import train
from ssnan.training.resume import BestCheckpoint
from ssnan.training.task import ParsingTask


def last(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_run_that_was_copied_keeps_its_best(config, plain_run, tmp_path, monkeypatch):
    copied = tmp_path / "copied"
    shutil.copytree(plain_run, copied)
    best = (copied / "checkpoints" / "best.ckpt").read_bytes()
    monkeypatch.setattr(ParsingTask, "on_validation_epoch_end", lambda self: self.log("val/mean_iou", -1.0))
    monkeypatch.setattr("ssnan.training.cli.write_results", lambda *_: None)
    train(["--config", config, "--output", str(copied)])
    assert last(copied)["epoch"] == 1
    assert (copied / "checkpoints" / "best.ckpt").read_bytes() == best
    state = last(copied)["callbacks"][BestCheckpoint(copied / "checkpoints").state_key]
    assert state["best_model_path"] == str(copied / "checkpoints" / "best.ckpt")
    assert list(state["best_k_models"]) == [state["best_model_path"]]
    assert last(plain_run)["callbacks"].keys() == last(copied)["callbacks"].keys()


def test_the_best_score_has_the_name_of_lightning_s_class(tmp_path):
    """Runs from before the subclass have it there."""
    assert BestCheckpoint(tmp_path).state_key.startswith("ModelCheckpoint{'monitor': 'val/mean_iou', 'mode': 'max'")


def files(run):
    return {path.name for path in (*(run / "checkpoints").iterdir(), *run.glob("*.json"))}


def test_a_run_that_starts_again_removes_the_one_before_once_its_data_are_open(config, plain_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(plain_run, run)
    assert files(run) == {"best.ckpt", "last.ckpt", "results.json", "photos.json"}
    curves = set((run / "logs").glob("events*"))
    again = ["--config", config, "--output", str(run), "--resume", "false"]
    again += ["--model.start_from", str(run / "checkpoints" / "best.ckpt")]
    with pytest.raises(DatasetError):
        train([*again, "--data.validation", str(tmp_path / "none")])
    assert files(run) == {"best.ckpt", "last.ckpt", "results.json", "photos.json"}
    assert curves <= set((run / "logs").glob("events*"))
    train([*again, "--trainer.check_val_every_n_epoch", "5", "--stop_after", "0"])
    assert files(run) == {"last.ckpt"}
    new = set((run / "logs").glob("events*"))
    assert new
    assert not new & curves
