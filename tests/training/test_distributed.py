"""Several processes by torchrun and gloo learn what one does."""

import json
import subprocess
import sys

import pytest
import torch

FROZEN = ["--model.network.init_args.backbone.frozen_batch_norm", "true"]
TOLERANCE = 1e-6
"""Of the weights, after six steps: sums of floats in another order."""


def run(config, output, processes, *arguments):
    """One run in a process of its own, or in several."""
    command = [sys.executable, "-m", "ssnan"]
    if processes > 1:
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={processes}",
            "-m",
            "ssnan",
        ]
    shared = ["--trainer.devices", str(processes), "--trainer.strategy", "ddp" if processes > 1 else "auto"]
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "3"]
    done = subprocess.run(
        [*command, "train", "--config", config, "--output", str(output), *FROZEN, *shared, *quiet, *arguments],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best checkpoint: ") == ("--stop_after" not in arguments)
    return output


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def one(config, tmp_path_factory):
    return run(config, tmp_path_factory.mktemp("one") / "run", 1)


def largest(state):
    return max(value.abs().max().item() for value in state.values() if value.is_floating_point())


def test_losses_of_whole_batches_are_of_the_whole_batch(config, one, tmp_path):
    loss = ["--model.loss.joint.form", "weighted", "--model.loss.joint.unit", "mean", "--model.loss.side_weight", "1"]
    alone, shared = (weights(run(config, tmp_path / str(processes), processes, *loss)) for processes in (1, 2))
    assert largest({name: shared[name] - alone[name] for name in alone}) <= TOLERANCE * largest(alone)
    plain = weights(one)
    assert largest({name: plain[name] - alone[name] for name in alone}) > 100 * TOLERANCE * largest(alone)


@pytest.mark.parametrize("plan", [(2,), (1, 2, 1)], ids=str)
def test_two_processes_learn_what_one_does(config, one, tmp_path, plan):
    """In one go, or stopped after an epoch and gone on with another number of processes."""
    folder = tmp_path / "run"
    for number, processes in enumerate(plan):
        last = number == len(plan) - 1
        run(config, folder, processes, *([] if last else ["--stop_after", "0.0001"]))
    mine, theirs = weights(folder), weights(one)
    assert largest({name: mine[name] - theirs[name] for name in theirs}) <= TOLERANCE * largest(theirs)
    ours, alone = (json.loads((run / "results.json").read_text()) for run in (folder, one))
    assert (ours["images_seen"], ours["pictures"]) == (alone["images_seen"], alone["pictures"])
    assert ours["present"] == alone["present"]
    assert ours["structure"]["limb_pairs"] == alone["structure"]["limb_pairs"]
    assert json.loads((folder / "pictures.json").read_text()) == json.loads((one / "pictures.json").read_text())


def test_a_batch_that_cannot_be_shared_is_one_clear_line(config, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "ssnan",
        "train",
    ]
    arguments = [
        "--config",
        config,
        "--output",
        str(tmp_path / "run"),
        "--trainer.devices",
        "2",
        "--data.batch_size",
        "3",
    ]
    done = subprocess.run(
        [*command, *arguments, "--trainer.strategy", "ddp"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "data.batch_size: 3 photos cannot be divided evenly by 2 processes" in done.stderr
