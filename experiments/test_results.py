"""What the experiments reached can be printed from the tables kept here."""

from importlib import import_module
from pathlib import Path

import pytest

from experiments.rivals.run import AFTER
from ssnan.commands import main
from ssnan.evaluation.runs import read_runs

ROOT = Path(__file__).parent


@pytest.mark.parametrize(
    ("experiment", "cell"),
    [("aggregation", "30.84 ± 0.37"), ("joint_loss", "31.41 ± 0.36"), ("rivals", "33.87 ± 0.28")],
)
def test_report_prints_the_runs(experiment, cell, tmp_path, capsys):
    assert main(["report", str(ROOT / experiment / "results.csv"), "-o", str(tmp_path)]) == 0
    assert cell in capsys.readouterr().out


@pytest.mark.parametrize("program", ["ingredients", "designs"])
def test_an_unknown_row_is_one_line(program, monkeypatch, capsys):
    run = import_module(f"experiments.{program}.run")
    monkeypatch.setattr("sys.argv", ["run", "--rows", "settings"])
    with pytest.raises(SystemExit):
        run.main()
    assert "--rows: no row 'settings'" in capsys.readouterr().err


def test_report_prints_table_3(tmp_path, capsys):
    assert main(["report", str(ROOT / "rivals" / "results_person_part.csv"), "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| deeplab_v2 | 70.45 | 78.09 |" in printed
    assert "The paper's Table 3" in printed


def test_no_row_of_the_rivals_measures_its_recipe():
    """A second step gains at least a point over its first one with the same seed."""
    runs = {(name, run["seed"]): run["present"]["mean_iou"] for name, run in read_runs(ROOT / "rivals" / "results.csv")}
    assert {name for name, _ in runs} <= {*AFTER, "attention_longer"}
    for (name, seed), reached in runs.items():
        if first := AFTER.get(name):
            assert reached >= runs[first, seed] + 0.01, (name, seed)


@pytest.mark.parametrize(
    ("program", "cell"),
    [
        ("ingredients.run", "37.1 ± 0.3"),
        ("designs.run", "| skip_half_321 |"),
        ("structure_trial.run", "+0.14 ± 0.91"),
        ("fusion_heads.heads", "| 37.49 |"),
    ],
)
def test_an_experiment_prints_its_table(program, cell, monkeypatch, capsys):
    table = ROOT / program.partition(".")[0] / "results.csv"
    monkeypatch.setattr("sys.argv", [program, "--results", str(table)])
    import_module(f"experiments.{program}").main()
    assert cell in capsys.readouterr().out
