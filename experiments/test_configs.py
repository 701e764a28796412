"""Every row of an experiment is a recipe that training accepts, and differs from the others where it says so."""

from pathlib import Path

import pytest
import yaml

from experiments.aggregation.run import ROWS
from experiments.joint_loss import run as joint_loss
from experiments.rivals import run as rivals
from ssnan.training.cli import train

ROOT = Path(__file__).parent
RIVALS = rivals.CONFIGS


def printed(capsys, *paths):
    arguments = [argument for path in paths for argument in ("--config", str(path))]
    with pytest.raises(SystemExit) as ended:
        train([*arguments, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_rivals_see_the_same(capsys):
    budgets, batches = [], {}
    for name in rivals.AFTER:
        values = printed(capsys, RIVALS / f"{name}.yaml")
        assert values["output"] == f"runs/rivals/{name}"
        batches[name] = values["trainer"].pop("limit_train_batches")
        budgets.append((values["data"], values["trainer"]))
    assert all(budget == budgets[0] for budget in budgets)
    data, _ = budgets[0]
    firsts = {batches.pop(name) for name in ("attention_step1", "ss_nan_step1")}
    seconds = {batches.pop(name) for name in ("attention_ssl", "ss_nan_step2", "ss_nan_step2_none")}
    assert {first + second for first in firsts for second in seconds} == {
        data["samples_per_epoch"] / data["batch_size"]
    }
    assert set(batches.values()) == {None}


def test_a_second_step_begins_where_the_first_ended(capsys):
    for name, first in rivals.AFTER.items():
        if first is not None:
            start = printed(capsys, RIVALS / f"{name}.yaml")["model"]["start_from"]
            assert start == f"runs/rivals/{first}/checkpoints/best.ckpt"


def test_a_second_step_brings_its_first_along(monkeypatch):
    runs = []
    monkeypatch.setattr(rivals, "train", lambda *arguments: runs.append(arguments))
    also = ["--also", "more.yaml", "-o", "out"]
    monkeypatch.setattr("sys.argv", ["run", "1", "0", "--systems", "ss_nan_step2,hazn", *also])
    rivals.main()
    names = ("hazn", "ss_nan_step1", "ss_nan_step2")
    assert [run[0] for run in runs] == [Path("out", name, f"seed{seed}") for seed in (1, 0) for name in names]
    assert runs[2][1:] == (
        [RIVALS / "ss_nan_step2.yaml", Path("more.yaml")],
        1,
        Path("out/ss_nan_step1/seed1/checkpoints/best.ckpt"),
    )


def test_an_unknown_system_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run", "--systems", "hazn,unet"])
    with pytest.raises(SystemExit):
        rivals.main()
    assert "got unet" in capsys.readouterr().err


def test_table_3_has_the_same_budget(capsys):
    lip, parts = (printed(capsys, RIVALS / "hazn.yaml", *also) for also in ([], [RIVALS / "person_part.yaml"]))
    assert parts["data"]["label_set"] == "pascal_person_part"
    changed = {name for name in lip["data"] if lip["data"][name] != parts["data"][name]}
    assert changed == {"label_set", "sources", "validation"}
    assert all(source["share"] for source in parts["data"]["sources"])  # as samples_per_epoch needs them
    assert {name: parts[name] for name in ("model", "trainer")} == {name: lip[name] for name in ("model", "trainer")}


def test_every_row_differs_from_the_others(capsys):
    rows = [*ROWS.values(), *(joint_loss.CONFIGS / f"{name}.yaml" for name in joint_loss.ROWS)]
    values = [printed(capsys, row) for row in rows]
    for value in values:
        value.pop("output")
    told_apart = {yaml.safe_dump(value) for value in values}
    assert len(told_apart) == len(rows)


@pytest.mark.parametrize("experiment", ["ingredients", "designs"])
def test_every_row_of_a_comparison_is_another_recipe(experiment, capsys):
    rows = sorted(path for path in (ROOT / experiment / "configs").glob("*.yaml") if path.stem != "base")
    told_apart = {yaml.safe_dump(printed(capsys, row)) for row in rows}
    assert len(told_apart) == len(rows)


@pytest.mark.parametrize("path", sorted((ROOT / "bundled" / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_did_not_ship_are_accepted(capsys, path):
    assert printed(capsys, path)["output"] == f"runs/bundled/{path.stem}"
