"""Two processes by torchrun and gloo learn what one does."""

import json
import subprocess
import sys

import pytest
import torch

from ssnan.training.cli import train

FROZEN = ["--model.network.init_args.backbone.frozen_batch_norm", "true"]
TOLERANCE = 1e-6
"""Of the weights, after six steps: sums of floats in another order."""


def run(config, output, processes, *arguments):
    """One run in this process, or in two of their own."""
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "3"]
    options = ["--config", config, "--output", str(output), *FROZEN, *quiet, *arguments]
    finished = "--stop_after" not in arguments
    if processes == 1:
        assert (train([*options, "--trainer.devices", "1"]) is not None) == finished
    else:
        done = torchrun(options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("best checkpoint: ") == finished
    return output


def torchrun(options):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "ssnan"]
    shared = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    return subprocess.run([*command, "train", *options, *shared], capture_output=True, text=True, timeout=300)


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def one(config, tmp_path_factory):
    return run(config, tmp_path_factory.mktemp("one") / "run", 1)


def largest(state):
    return max(value.abs().max().item() for value in state.values() if value.is_floating_point())


def same(ours, alone):
    """The same weights, and the same results of the same photos."""
    mine, theirs = weights(ours), weights(alone)
    assert largest({name: mine[name] - theirs[name] for name in theirs}) <= TOLERANCE * largest(theirs)
    shared, own = (json.loads((run / "results.json").read_text()) for run in (ours, alone))
    assert (shared["images_seen"], shared["photos"]) == (own["images_seen"], own["photos"])
    assert shared["present"] == own["present"]
    known = [{name: value for name, value in of["structure"].items() if value is not None} for of in (shared, own)]
    assert known[0] == pytest.approx(known[1], rel=1e-4)
    assert json.loads((ours / "photos.json").read_text()) == json.loads((alone / "photos.json").read_text())


def test_two_processes_learn_what_one_does(config, one, tmp_path):
    """Also from losses of the whole batch."""
    loss = ["--model.loss.joint.form", "weighted", "--model.loss.joint.unit", "mean", "--model.loss.side_weight", "1"]
    alone, shared = (run(config, tmp_path / str(processes), processes, *loss) for processes in (1, 2))
    same(shared, alone)
    plain, other = weights(one), weights(alone)
    assert largest({name: plain[name] - other[name] for name in plain}) > 100 * TOLERANCE * largest(plain)


def test_a_run_goes_on_with_another_number_of_processes(config, one, tmp_path):
    for processes in (1, 2):
        run(config, tmp_path, processes, "--stop_after", "0.0001")
    same(run(config, tmp_path, 1), one)


def test_a_batch_that_cannot_be_shared_is_one_clear_line(config, tmp_path):
    done = torchrun(["--config", config, "--output", str(tmp_path / "run"), "--data.batch_size", "3"])
    assert done.returncode != 0
    assert "data.batch_size: 3 photos cannot be divided evenly by 2 processes" in done.stderr
