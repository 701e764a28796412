"""How the options of a run become its task, data and trainer."""

import re

import pytest

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
