from ssnan.commands import main
from ssnan.recipes import shipped, summary


def test_every_recipe_has_a_summary():
    for folder, names in shipped().items():
        for name in names:
            assert 20 < len(summary(f"{folder}/{name}")) < 300, name
    assert summary("lip/ss_nan_literal") == "SS-NAN by the text of the paper, where ss_nan.yaml departs from it."
    assert summary("lip/hazn").startswith("HAZN (https://arxiv.org/abs/1511.06881) as we read it")


def test_command_lists_systems_and_weights(capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "LG-LSTM" in printed
    assert "context_half" in printed
    assert "small" in printed
    assert "ccp-lip" in printed
