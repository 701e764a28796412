import csv
import json
from pathlib import Path

import pytest

from fakes.runs import photos, write_run
from ssnan.commands import main
from ssnan.evaluation.systems import ReportError, read_systems


def test_only_a_seed_and_its_number_name_a_run_of_the_folder_above(tmp_path):
    for name in ("seed0", "seed_1", "seed-22", "seedling", "seed_net", "seed0_long"):
        write_run(tmp_path / "ours" / name, 5)
    found = {system.name: len(system.runs) for system in read_systems([tmp_path])}
    assert found == {"ours": 3, "seedling": 1, "seed_net": 1, "seed0_long": 1}


@pytest.mark.parametrize("key", ["parameters", "flops_321"])
def test_runs_of_different_networks_are_no_system(key, tmp_path, capsys):
    for seed, size in enumerate((200, 200, 300)):
        write_run(tmp_path / "ours" / f"seed{seed}", 5, **{key: size})
    assert main(["report", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert f"ours: expected runs that differ only in their seed, got 200 and 300 as their {key}; give every" in error


def test_folders_keep_their_order(runs):
    assert [system.name for system in read_systems([runs / "neural", runs / "average"])] == ["neural", "average"]


def test_a_run_that_several_places_have_counts_once(runs, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(runs / "neural")
    monkeypatch.chdir(runs / "neural")
    places = [runs, runs / "neural", runs / "average" / ".." / "neural", tmp_path / "link", Path(), Path("seed0")]
    assert [(system.name, len(system.runs)) for system in read_systems(places)] == [("average", 1), ("neural", 2)]
    assert [(system.name, len(system.runs)) for system in read_systems(places[:2:-1])] == [("neural", 2)]
    assert [(system.name, len(system.runs)) for system in read_systems(places[3:])] == [("link", 2)]
    main(["report", str(runs), "-o", str(tmp_path / "out")])
    table = tmp_path / "out" / "runs.csv"
    assert [len(system.runs) for system in read_systems([table, table])] == [1, 2]


def test_systems_of_one_name_are_told_apart(runs, tmp_path, capsys):
    """By their folders, in a table of them too, and beside this table."""
    for size, hits in (("small", 4), ("large", 8)):
        write_run(tmp_path / size / "neural" / "seed0", hits)
    places = [tmp_path / "small", tmp_path / "large"]
    names = ["small/neural", "large/neural"]
    assert [system.name for system in read_systems(places)] == names
    assert [system.name for system in read_systems([*places, runs])] == [*names, "average", "runs/neural"]
    command = ["report", *map(str, places), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    table = tmp_path / "out" / "runs.csv"
    again = read_systems([table])
    assert [(system.name, len(system.runs)) for system in again] == [(name, 1) for name in names]
    beside = [f"{parent}/{name}" for parent in (tmp_path.name, "runs.csv") for name in names]
    assert [system.name for system in read_systems([*places, table])] == beside
    assert main([*command, "--systems", "large/neural"]) == 0
    [system] = read_systems([table])
    assert (system.name, system.percent("present", "iou", "hair")) == ("large/neural", "80.00")
    assert main([*command, "--systems", "neural"]) == 1
    assert "no system 'neural' among small/neural, large/neural" in capsys.readouterr().err


def test_systems_are_picked_and_ordered_by_name(runs, tmp_path, capsys):
    command = ["report", str(runs), "-o", str(tmp_path / "out"), "--systems"]
    assert main([*command, "neural,average"]) == 0
    with (tmp_path / "out" / "summary.csv").open() as file:
        assert [row[0] for row in csv.reader(file)] == ["System", "neural", "average"]
    assert main([*command, "neurall"]) == 1
    assert "no system 'neurall' among average, neural; did you mean 'neural'?" in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused(runs, tmp_path, capsys):
    write_run(tmp_path / "runs" / "other", 5, validation="viton-lip val")
    assert main(["report", str(runs)]) == 1
    assert "differ in their validation" in capsys.readouterr().err
    with pytest.raises(ReportError, match="none: no such folder or table"):
        read_systems([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReportError, match=r"no results\.json"):
        read_systems([tmp_path / "empty"])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ReportError, match=r"empty\.csv: has no runs"):
        read_systems([tmp_path / "empty.csv"])
    results = runs / "average" / "results.json"
    run = json.loads(results.read_text())
    for damaged in ({}, {**run, "label_set": {"name": "lip"}}, {k: v for k, v in run.items() if k != "parameters"}):
        results.write_text(json.dumps(damaged))
        with pytest.raises(ReportError, match="not the results"):
            read_systems([runs])


def test_runs_on_other_photos_are_refused(tmp_path, capsys):
    for name, count in (("some", 28), ("more", 29)):
        (write_run(tmp_path / name, 5) / "photos.json").write_text(json.dumps(photos(2, count=count)))
    assert main(["report", str(tmp_path)]) == 1
    assert "got a photos.json that differs in 'photo28'; report them separately" in capsys.readouterr().err
    (tmp_path / "more" / "photos.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 1
    assert "photos.json: not the counts of 'ssnan train'" in capsys.readouterr().err
    (tmp_path / "more" / "photos.json").unlink()
    read_systems([tmp_path])
    write_run(tmp_path / "fewer", 5, photos=2)
    assert main(["report", str(tmp_path)]) == 1
    assert "differ in their number of photos" in capsys.readouterr().err
