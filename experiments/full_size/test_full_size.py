from pathlib import Path

import pytest
import yaml

from experiments.bundled.garments import GARMENTS
from experiments.full_size import run as full_size
from ssnan.labels import LIP
from ssnan.training.cli import train


@pytest.mark.parametrize("tiny", [False, True])
def test_every_run_of_the_full_size_is_accepted(tiny, capsys):
    values = {}
    for name in {name: None for name, _ in full_size.ORDER}:
        with pytest.raises(SystemExit):
            train([*full_size.arguments_of(name, 0, full_size.tiny(name) if tiny else []), "--print_config"])
        values[name] = yaml.safe_load(capsys.readouterr().out)
        assert values[name]["model"]["compiled"] is (not tiny and name not in ("small", "base"))
        assert (values[name]["model"]["start_from"] is None) == (name in full_size.STEP1 and name != "small")
    assert set(full_size.STEP1) | set(full_size.STEP2) == set(values)
    budgets = {name: one["data"] | {"epochs": one["trainer"]["max_epochs"]} for name, one in values.items()}
    assert budgets["small"] == budgets["base"]
    for name in ("small", "base"):
        agreement = values[name]["model"]["network"]["init_args"]["agreement"]
        assert agreement["init_args"]["groups"] == [GARMENTS, *map(list, LIP.flip_pairs)]
    for step in (full_size.STEP1, full_size.STEP2):
        same = [budget for name, budget in budgets.items() if name in step and name not in ("small", "base")]
        assert len(same) > 5
        assert all(budget == same[0] for budget in same)
    if not tiny:
        crops = values["small"]["data"]["samples_per_epoch"] * values["small"]["trainer"]["max_epochs"]
        assert crops >= 1_990_000
        assert values["small"]["data"]["sources"] == values["ss_nan"]["data"]["sources"]


def test_arms_differ_in_the_loss_alone(capsys):
    seen = []
    for arm in full_size.ARMS:
        with pytest.raises(SystemExit):
            train([*full_size.arguments_of(f"ss_nan_{arm}", 0, []), "--print_config"])
        values = yaml.safe_load(capsys.readouterr().out)
        values.pop("output")
        loss = {key: values["model"]["loss"].pop(key) for key in ("joint", "side_weight")}
        seen.append((values, loss))
    assert all(values == seen[0][0] for values, _ in seen)
    assert all(loss not in [other for _, other in seen[:index]] for index, (_, loss) in enumerate(seen))


def test_a_run_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "train", "--minutes", "1", "ss_nann"])
    with pytest.raises(SystemExit):
        full_size.main()
    assert "no run ss_nann; there are small, base, ss_nan" in capsys.readouterr().err


def test_a_second_step_waits_for_its_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(full_size, "RUNS", tmp_path)
    full_size.train(1, [], ["ss_nan_sides", "attention_ssl"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "attention_ssl, seed 0: waits for attention"
    assert lines[1:] == [f"ss_nan_sides, seed {seed}: waits for ss_nan" for seed in range(3)]


@pytest.mark.parametrize(("budget", "time"), [(8, "00:00:08:00"), (61.5, "00:01:01:30")])
def test_a_budget_is_the_time_of_the_run(budget, time):
    told = full_size.arguments_of("small", 0, [], budget)
    assert told[told.index("--trainer.max_time") + 1] == time
    assert "--trainer.max_time" not in full_size.arguments_of("small", 0, [])


def test_each_run_is_tried_in_two_pieces(tmp_path, monkeypatch):
    calls = []

    def trained(arguments):
        calls.append(arguments)
        folder = Path(arguments[arguments.index("--output") + 1])
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        for name in ("best", "last", "previous"):
            (folder / "checkpoints" / f"{name}.ckpt").touch()
        if arguments[-1] != "0":
            (folder / "results.json").touch()

    monkeypatch.setattr(full_size, "RUNS", tmp_path)
    monkeypatch.setattr("ssnan.training.cli.train", trained)
    full_size.try_out(["hazn"])
    assert [arguments[-2:] for arguments in calls] == [["--stop_after", "0"], ["--stop_after", "60"]]
    assert all(arguments[:-2] == full_size.arguments_of("hazn", 0, full_size.tiny("hazn")) for arguments in calls)
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["best.ckpt"]
    full_size.try_out([])
    tried = [Path(arguments[arguments.index("--output") + 1]).parent.name for arguments in calls[2::2]]
    assert set(tried) == {name for name, _ in full_size.ORDER} - {"hazn"}
    for name, (first, _) in full_size.STEP2.items():
        assert tried.index(first) < tried.index(name)


def test_no_run_begins_in_the_last_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(full_size, "RUNS", tmp_path)
    full_size.train(0.4, [], ["small"])
    assert not list(tmp_path.iterdir())
