"""What happens to a training whose data, disk or process fails."""

import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fakes.lip import write_lip
from ssnan.commands import main
from ssnan.training.cli import train


def tiny(config, root, folder, **data):
    """The tiny run on the dataset in ``root``."""
    values = yaml.safe_load(Path(config).read_text())
    values["data"] |= {"sources": [{"root": str(root)}], "validation": str(root)} | data
    path = folder / "hostile.yaml"
    path.write_text(yaml.safe_dump(values))
    return ["--config", str(path), "--output", str(folder / "run")]


KILLS = int(os.environ.get("SSNAN_KILLS", "3"))


def written(path):
    """When, in nanoseconds; 0 if it is not there, as last.ckpt while the next one is written."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def test_kills_change_nothing(config, tmp_path):
    """The same weights to the bit as of a run that was never interrupted. ``SSNAN_KILLS=20`` kills more often."""
    run = ["--config", config, "--trainer.max_epochs", str(2 * KILLS), "--output"]
    train([*run, str(tmp_path / "whole")])
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([train.__module__])  # imports take longer than an epoch
    last, moments = tmp_path / "killed" / "checkpoints" / "last.ckpt", random.Random(0)
    for _ in range(KILLS):
        before = written(last)
        process = server.Process(target=train, args=([*run, str(tmp_path / "killed")],))
        process.start()
        deadline = time.monotonic() + 120
        while process.is_alive() and written(last) in (0, before):
            assert time.monotonic() < deadline, "no epoch ends"
            time.sleep(0.02)
        time.sleep(moments.random() * 0.5)  # into an epoch, a validation or the writing of a checkpoint
        process.kill()
        process.join()
    train([*run, str(tmp_path / "killed")])
    whole, killed = (
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True) for run in ("whole", "killed")
    )
    assert whole["global_step"] == killed["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, killed["state_dict"][name]), name


def test_a_rate_that_explodes_stops_and_names_the_step(config, tmp_path, capsys):
    run = ["--config", config, "--output", str(tmp_path / "run")]
    explode = ["--model.sgd.learning_rate", "1e20", "--model.sgd.warmup", "0", "--trainer.gradient_clip_val", "null"]
    assert main(["train", *run, *explode]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "the loss is" in error
    assert "of epoch 1; lower model.sgd.learning_rate" in error
    assert "Traceback" not in error


@pytest.fixture
def damaged_root(tmp_path):
    root = write_lip(tmp_path / "lip")
    photo = root / "TrainVal_images" / "train_images" / "train_1.jpg"
    photo.write_bytes(photo.read_bytes()[:300])
    return root


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_named(config, damaged_root, tmp_path, capfd, workers):
    assert main(["train", *tiny(config, damaged_root, tmp_path, num_workers=workers)]) == 1
    error = capfd.readouterr().err
    assert "train_1.jpg: damaged or truncated" in " ".join(error.split())
    assert "Traceback" not in error


def test_a_damaged_photo_is_left_out_if_asked_for(config, damaged_root, tmp_path, caplog):
    train([*tiny(config, damaged_root, tmp_path, damaged="skip"), "--trainer.max_epochs", "1"])
    assert "skipped" in caplog.text
    assert "train_1.jpg" in caplog.text


def test_a_mask_of_another_size_is_named(config, tmp_path, capsys):
    root = write_lip(tmp_path / "lip")
    mask = next((root / "TrainVal_parsing_annotations" / "train_segmentations").iterdir())
    Image.fromarray(np.zeros((5, 7), dtype=np.uint8)).save(mask)
    assert main(["train", *tiny(config, root, tmp_path)]) == 1
    assert f"{mask.name}: is (5, 7)" in " ".join(capsys.readouterr().err.split())


def test_an_empty_validation_is_named(config, tmp_path, capsys):
    root = write_lip(tmp_path / "lip")
    (root / "TrainVal_images" / "val_id.txt").write_text("")
    assert main(["train", *tiny(config, root, tmp_path)]) == 1
    assert "the list of val is empty" in " ".join(capsys.readouterr().err.split())


def test_a_full_disk_keeps_the_epoch_before(config, tmp_path, capsys, monkeypatch):
    run = ["--config", config, "--output", str(tmp_path / "run")]
    train([*run, "--stop_after", "0"])
    kept = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lightning.fabric.plugins.io.torch_io._atomic_save", full)
        assert main(["train", *run]) == 1
    error = capsys.readouterr().err
    assert "No space left on device; run the same command to continue" in " ".join(error.split())
    assert "Traceback" not in error
    files = (tmp_path / "run" / "checkpoints").glob("*.ckpt")
    assert kept in [path.read_bytes() for path in files]
    train(run)
    assert (tmp_path / "run" / "results.json").exists()


def test_a_last_checkpoint_cut_off_costs_an_epoch(config, tmp_path):
    run = ["--config", config, "--output", str(tmp_path / "run"), "--trainer.max_epochs", "3"]
    train(run)
    whole = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:10_000])
    train(run)
    again = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    shutil.rmtree(tmp_path / "run")
