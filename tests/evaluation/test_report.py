import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssnan.commands import main
from ssnan.evaluation import paper
from ssnan.evaluation.evaluate import numbers
from ssnan.evaluation.report import markdown, paired, per_class, summary, write
from ssnan.evaluation.systems import ReportError, read_systems
from ssnan.labels import LIP, PASCAL_PERSON_PART


def confusion(hits: int) -> np.ndarray:
    """Hair is half found or better, the rest of the photo background."""
    matrix = np.zeros((20, 20), dtype=np.int64)
    matrix[0, 0] = 100
    matrix[2, 2], matrix[2, 0] = hits, 10 - hits
    return matrix


def photos(*classes, count=28):
    """Counts of ``count`` photos that show ``classes``."""
    true = [int(i in classes) for i in range(20)]
    return {f"photo{i}": [[0] * 20, true, [0] * 20] for i in range(count)}


def write_run(folder, hits, label_set=LIP, **changes):
    folder.mkdir(parents=True)
    values = {
        "label_set": label_set.to_dict(), "validation": "ccp-lip val", "pictures": 3, "parameters": 9_000_000,
        "flops_321": 26_100_000_000, "seconds_321": 0.25, "joint_distance": 0.002, "images_seen": 640, "minutes": 2.5,
        **numbers(confusion(hits), label_set, photos(2)),
        "structure": {"limb_pairs": 253, "limb_pairs_exchanged": 10 + hits},
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(values | changes))
    return folder


@pytest.fixture
def runs(tmp_path):
    for seed, hits in enumerate((4, 6)):
        write_run(tmp_path / "runs" / "neural" / f"seed{seed}", hits)
    write_run(tmp_path / "runs" / "average", 5)
    return tmp_path / "runs"


def test_mean_and_spread_over_seeds_by_hand(runs):
    average, neural = read_systems([runs])
    head, first, second = summary([average, neural])
    assert [first[0], first[1], second[0], second[1]] == ["average", "1", "neural", "2"]
    # IoU of hair .4 and .6, of the background 100/106 and 100/104.
    ious = [(0.4 + 100 / 106) / 2, (0.6 + 100 / 104) / 2]
    expected = f"{100 * np.mean(ious):.2f} ± {100 * np.std(ious, ddof=1):.2f}"
    assert second[head.index("Mean IoU")] == expected
    assert first[head.index("Mean IoU")] == f"{100 * (0.5 + 100 / 105) / 2:.2f}"
    assert second[head.index("GFLOPs at 321 × 321")] == "26.1"
    assert second[head.index("Seconds at 321 × 321")].startswith("0.25")
    assert second[head.index("Joint distance × 1000")] == "2.00 ± 0.00"
    assert second[head.index("Limb pairs, swapped")] == "253.00 ± 0.00, 15.00 ± 1.41"
    assert first[head.index("Limb IoU")] == "–"  # nobody's limbs are in these confusion matrices
    assert first[head.index("Calibration error, %")] == "–"


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


def test_the_fewest_and_the_most_images_seen(tmp_path):
    for seed, seen in enumerate((640, 660, 650)):
        write_run(tmp_path / "limited" / f"seed{seed}", 5, images_seen=seen)
        write_run(tmp_path / "fixed" / f"seed{seed}", 5)
    head, *rows = summary(read_systems([tmp_path]))
    assert {row[0]: row[head.index("Images seen")] for row in rows} == {"fixed": "640", "limited": "640 … 660"}


def test_the_last_epoch_stands_beside_the_best_where_it_is_known(runs):
    assert "Mean IoU, last epoch" not in summary(read_systems([runs]))[0]
    write_run(runs / "newer", 5, mean_iou_last=0.4321)
    head, *rows = summary(read_systems([runs]))
    column = head.index("Mean IoU, last epoch")
    assert {row[0]: row[column] for row in rows} == {"average": "–", "neural": "–", "newer": "43.21"}


def test_frequent_classes_have_a_mean_of_their_own(runs):
    """Hair is in enough photos, the background is not; an older run is asked by the photos of its neighbour."""
    older = write_run(runs / "older", 8)
    values = json.loads((older / "results.json").read_text())
    del values["frequent_classes"]
    (older / "results.json").write_text(json.dumps(values))
    head, *rows = summary(read_systems([runs]))
    column = head.index("Mean IoU, 1 frequent classes")
    assert {row[0]: row[column] for row in rows} == {"average": "50.00", "neural": "50.00 ± 14.14", "older": "80.00"}
    (older / "pictures.json").write_text(json.dumps(photos(0)))
    head, row = summary(read_systems([older]))
    assert row[head.index("Mean IoU, 1 frequent classes")] == f"{100 * 100 / 102:.2f}"
    (older / "pictures.json").unlink()
    assert not any("frequent" in name for name in summary(read_systems([older]))[0])


def test_per_class_is_in_the_order_of_the_paper_and_absent_classes_are_dashes(runs):
    head, row, _ = per_class(read_systems([runs / "average", runs / "neural"]))
    assert head[1:3] == ["hat", "hair"]
    assert head[-2:] == ["background", "Mean IoU"]
    assert row[:3] == ["average", "–", "50.00"]


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


def test_command_writes_tables_beside_the_paper_s(runs, tmp_path, capsys):
    assert main(["report", str(runs), "-o", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "not measured here" in text
    assert "| SS-NAN | 87.59 | 56.03 | 47.92 |" in text
    with (tmp_path / "out" / "summary.csv").open() as file:
        assert next(csv.reader(file))[0] == "System"


def ours(hair):
    """LIP with another name of its hair, and without pairs."""
    classes = [hair if name == "hair" else name for name in LIP.classes]
    return replace(LIP, name="ours", classes=tuple(classes), flip_pairs=())


@pytest.mark.parametrize("label_set", [LIP, ours("hair"), ours("short hair"), ours("[hair")])
def test_a_table_of_runs_stands_in_for_them(label_set, tmp_path):
    runs = tmp_path / "runs"
    write_run(runs / "neural" / "seed0", 4, label_set)
    write_run(runs / "average", 5, label_set)
    assert main(["report", str(runs), "-o", str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out" / "runs.csv"), "-o", str(tmp_path / "again")]) == 0
    for name in ("report.md", "runs.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_what_is_no_table_of_runs_is_refused(runs, tmp_path, capsys):
    assert main(["report", str(runs), "-o", str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out" / "summary.csv")]) == 1
    assert "summary.csv: not a table that 'ssnan report' wrote" in capsys.readouterr().err
    table = tmp_path / "out" / "runs.csv"
    *rows, last = table.read_text().splitlines()
    table.write_text("\n".join([*rows, last + " cut"]))  # as older versions wrote "hair cut"
    assert main(["report", str(table)]) == 1
    assert "'cut' is not a class of the label set" in capsys.readouterr().err


def test_systems_are_picked_and_ordered_by_name(runs, tmp_path, capsys):
    command = ["report", str(runs), "-o", str(tmp_path / "out"), "--systems"]
    assert main([*command, "neural,average"]) == 0
    with (tmp_path / "out" / "summary.csv").open() as file:
        assert [row[0] for row in csv.reader(file)] == ["System", "neural", "average"]
    assert main([*command, "neurall"]) == 1
    assert "no system 'neurall' among average, neural; did you mean 'neural'?" in capsys.readouterr().err


def test_a_table_of_runs_never_loses_systems(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(runs)]) == 0
    before = Path("report", "runs.csv").read_bytes()
    assert main(["report", "report/runs.csv", "--systems", "neural"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("report/runs.csv: would lose average; choose another folder with -o")
    assert Path("report", "runs.csv").read_bytes() == before
    assert main(["report", "report/runs.csv", "--systems", "neural", "-o", "neural"]) == 0
    assert main(["report", "report/runs.csv", "--systems", "neural,average"]) == 0  # all, in another order
    assert [system.name for system in read_systems([Path("report", "runs.csv")])] == ["neural", "average"]


def test_a_report_that_cannot_be_written_leaves_the_earlier_one(runs, tmp_path, monkeypatch):
    systems = read_systems([runs])
    write(systems, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ssnan.evaluation.report.write_runs", full)
    with pytest.raises(OSError, match="No space left"):
        write(systems[:1], tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


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
        (write_run(tmp_path / name, 5) / "pictures.json").write_text(json.dumps(photos(2, count=count)))
    assert main(["report", str(tmp_path)]) == 1
    assert "got a pictures.json that differs in 'photo28'; report them separately" in capsys.readouterr().err
    (tmp_path / "more" / "pictures.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 1
    assert "pictures.json: not the counts of 'ssnan train'" in capsys.readouterr().err
    (tmp_path / "more" / "pictures.json").unlink()
    read_systems([tmp_path])
    write_run(tmp_path / "fewer", 5, pictures=2)
    assert main(["report", str(tmp_path)]) == 1
    assert "differ in their number of photos" in capsys.readouterr().err


def test_the_paper_s_rows_average_to_its_printed_means():
    for name, mean_iou in (("SS-NAN", 47.92), ("Attention+SSL", 44.73), ("DeepLabV2", 41.64)):
        assert len(paper.TABLE_2[name]) == len(LIP)
        assert np.mean(paper.TABLE_2[name]) == pytest.approx(mean_iou, abs=0.006)
        assert paper.TABLE_1[name][2] == mean_iou
    printed = (62.44, 59.36, 57.97, 56.11, 51.78)
    for name, mean_iou in zip(("SS-NAN", "Attention+SSL", "LG-LSTM", "HAZN", "DeepLabV2"), printed, strict=True):
        assert len(paper.TABLE_3[name]) == len(PASCAL_PERSON_PART)
        assert np.mean(paper.TABLE_3[name]) == pytest.approx(mean_iou, abs=0.006)


def test_markdown():
    assert markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_paired_differences_by_hand(tmp_path):
    """Three seeds of two systems, hits of hair seed by seed; the second system gains 0.1, 0.2 and 0.3 of its IoU."""
    for seed, hits in enumerate((4, 5, 6)):
        write_run(tmp_path / "base" / f"seed{seed}", hits, seed=seed)
        write_run(tmp_path / "other" / f"seed{seed}", hits + seed + 1, seed=seed)
    write_run(tmp_path / "other" / "seed7", 9, seed=7)  # of which the base has none
    head, row = paired(read_systems([tmp_path / "base", tmp_path / "other"]))
    gains = [
        100 * (after - before)
        for before, after in (
            [(h / 10 + 100 / (110 - h)) / 2 for h in (hits, hits + seed + 1)] for seed, hits in enumerate((4, 5, 6))
        )
    ]
    assert row[:2] == ["other", "3"]
    assert row[head.index("Mean IoU")] == f"{np.mean(gains):+.2f} ± {4.303 * np.std(gains, ddof=1) / np.sqrt(3):.2f}"
    assert row[head.index("over photos")] == "–"  # nobody wrote pictures.json
    assert row[head.index("Limb pairs swapped")] == "+2.00 ± 2.48"


def test_runs_are_not_paired_by_a_seed_that_several_have(tmp_path):
    for run in range(3):
        write_run(tmp_path / "base" / f"seed{run}", 4 + run, seed=0)
        write_run(tmp_path / "other" / f"seed{run}", 5 + run, seed=run)
        write_run(tmp_path / "older" / f"seed{run}", 5 + run)  # from before the seed was recorded
    base, other, older = read_systems([tmp_path / name for name in ("base", "other", "older")])
    assert paired([base, other])[1:] == [["other", "3 runs of base have seed 0", *["–"] * 5]]
    assert paired([other, base])[1:] == [["base", "3 runs of base have seed 0", *["–"] * 5]]
    assert paired([base, older]) == paired([older, older]) == []


def test_the_bootstrap_over_photos(tmp_path):
    """The base finds 5 of 10 pixels in every photo; another one more in each, or two in every second."""

    def photos(gain):
        return {str(i): [[5 + gain(i), 50], [10, 50], [5 + gain(i), 55 - gain(i)]] for i in range(40)}

    for name, gain in (("base", lambda i: 0), ("each", lambda i: 1), ("some", lambda i: 2 * (i % 2))):
        folder = write_run(tmp_path / name / "seed0", 5, seed=0)
        (folder / "pictures.json").write_text(json.dumps(photos(gain)))
    head, each, some = paired(read_systems([tmp_path / "base", tmp_path / "each", tmp_path / "some"]))
    low, high = map(float, each[head.index("over photos")].split(" … "))
    iou = [(hits / 10 + 50 / (60 - hits)) / 2 for hits in (5, 6)]
    assert low == high == pytest.approx(100 * (iou[1] - iou[0]), abs=0.005)
    low, high = map(float, some[head.index("over photos")].split(" … "))
    assert 0 < low < 100 * (iou[1] - iou[0]) < high


def test_one_system_is_beside_nobody(runs):
    assert paired(read_systems([runs / "neural"])) == []
