"""How the options of a run become its task, data and trainer."""

import re

import pytest

from ssnan.commands import main
from ssnan.training.cli import command_line


@pytest.mark.filterwarnings("ignore")  # of libraries, as train() ignores them
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], 0),
        (["--seed_everything", "7"], 7),
        (["--data.seed", "7"], 7),
        (["--seed_everything", "7", "--data.seed", "0"], 0),
        (["--seed_everything", "false"], 0),
    ],
)
def test_the_data_follow_the_seed_of_the_run_unless_they_have_their_own(config, tmp_path, given, expected):
    cli = command_line(["--config", config, "--output", str(tmp_path), *given])
    assert cli.datamodule.seed == cli.config["data"]["seed"] == cli.lasting.values["data.seed"] == expected


@pytest.mark.filterwarnings("ignore")  # of libraries, as train() ignores them
@pytest.mark.parametrize("arguments", [["--help"], ["--model.network.help", "ssnan.models.SSNANWithPeople"]])
def test_the_help_has_no_marks_of_docstrings(capsys, arguments):
    with pytest.raises(SystemExit):
        command_line(arguments)
    shown = capsys.readouterr().out
    assert shown.startswith("usage: ssnan train ")
    assert "`ssnan.models.Backbone.load`" in shown or "`SSNANWithContext` with an `InstanceHead`" in shown
    assert "``" not in shown
    assert re.search(r":[a-z]+:`", shown) is None


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("trainer.devices=0", "trainer: "),
        ("trainer.devices=-3", "trainer: "),
        ("trainer.accelerator=tpu", "trainer: "),
        ("trainer.max_epochs=-7", "trainer: `max_epochs` must be"),
        ("trainer.max_time=soon", "trainer: `Timer(duration='soon')` is not a valid duration"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches: expected 1 or more, got 0"),
        ("trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch: expected 1 or more, got 0"),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val: expected 0 or more, got -1"),
        ("data.preprocessing.multiple=0", "preprocessing: multiple: expected an integer from 1 to 16384, got 0"),
        ("model.network.init_args.backbone.name=nope", "Unknown model (nope)"),
    ],
)
def test_a_value_that_does_not_fit_is_one_line(config, tmp_path, capsys, option, problem):
    assert main(["train", "--config", config, "--output", str(tmp_path / "run"), f"--{option}"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "ssnan: " in line]
    assert len(lines) == 1
    assert problem in lines[0]
    assert "subtypes" not in lines[0]
    assert not (tmp_path / "run").exists()
