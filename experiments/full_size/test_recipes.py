import pytest
import yaml

from experiments.bundled.garments import GARMENTS
from experiments.full_size.recipes import BUNDLED, FIRST, SECOND, SYSTEMS, arguments_of, tiny
from ssnan.labels import LIP
from ssnan.training.cli import train


def printed(name, capsys, also=()):
    with pytest.raises(SystemExit) as ended:
        train([*arguments_of(name, also), "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_every_system_has_a_place_after_its_first_step():
    assert sorted(SYSTEMS) == sorted([*FIRST, *SECOND])
    for second, (first, _) in SECOND.items():
        assert SYSTEMS.index(first) < SYSTEMS.index(second)


@pytest.mark.parametrize("is_tiny", [False, True])
def test_systems_see_the_same_with_the_same_solver(is_tiny, capsys):
    values = {name: printed(name, capsys, tiny(name) if is_tiny else []) for name in SYSTEMS}
    for name in SYSTEMS:
        assert values[name]["data"] == values["ss_nan"]["data"], name
        assert values[name]["model"]["sgd"] == values["ss_nan"]["model"]["sgd"], name
        assert (values[name]["model"]["start_from"] is not None) == (name in SECOND), name
    assert values["ss_nan"]["data"]["samples_per_epoch"] == (2 if is_tiny else 10_500)
    loss, without = (values[name]["model"].pop("loss") for name in ("ss_nan_step2", "ss_nan_step2_none"))
    assert loss["joint"]["form"] == "weighted"
    assert without["joint"]["form"] == "none"
    for name in ("ss_nan_step2", "ss_nan_step2_none"):
        del values[name]["output"]
    assert values["ss_nan_step2"] == values["ss_nan_step2_none"]


def test_bundled_runs_have_one_budget_and_read_all_marks(capsys):
    small, base = (printed(name, capsys) for name in BUNDLED)
    assert small["data"] == base["data"]
    assert small["trainer"] == base["trainer"]
    assert small["data"]["samples_per_epoch"] * small["trainer"]["max_epochs"] >= 1_990_000
    roots = {source["root"] for source in small["data"]["sources"]}
    assert {"runs/taught/lip-marks", "runs/taught/ccp-marks", "runs/taught/selfies"} < roots
    assert set(small["data"]["pasting"]["people"]) < roots  # what is packed for them
    assert (small["model"]["start_from"], base["model"]["start_from"]) == ("small", None)
    for values in (small, base):
        agreement = values["model"]["network"]["init_args"]["agreement"]
        assert agreement["init_args"]["groups"] == [GARMENTS, *map(list, LIP.flip_pairs)]
