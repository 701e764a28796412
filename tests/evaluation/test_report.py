import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fakes.runs import photos, write_run
from ssnan.commands import main
from ssnan.evaluation import paper
from ssnan.evaluation.report import markdown, paired, per_class, summary, write
from ssnan.evaluation.systems import read_systems
from ssnan.labels import LIP, PASCAL_PERSON_PART


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
    (older / "photos.json").write_text(json.dumps(photos(0)))
    head, row = summary(read_systems([older]))
    assert row[head.index("Mean IoU, 1 frequent classes")] == f"{100 * 100 / 102:.2f}"
    (older / "photos.json").unlink()
    assert not any("frequent" in name for name in summary(read_systems([older]))[0])


def test_the_report_explains_frequent_classes_only_if_a_table_has_them(runs, tmp_path):
    assert "Frequent classes are those in" in write(read_systems([runs]), tmp_path / "some").read_text()
    results = runs / "average" / "results.json"
    values = json.loads(results.read_text())
    values["frequent_classes"] = {"classes": [], "mean_iou": None}
    results.write_text(json.dumps(values))
    assert "requent" not in write(read_systems([runs / "average"]), tmp_path / "none").read_text()


def test_per_class_is_in_the_order_of_the_paper_and_absent_classes_are_dashes(runs):
    head, row, _ = per_class(read_systems([runs / "average", runs / "neural"]))
    assert head[1:3] == ["hat", "hair"]
    assert head[-2:] == ["background", "Mean IoU"]
    assert row[:3] == ["average", "–", "50.00"]


def test_command_writes_tables_beside_the_paper_s(runs, tmp_path, capsys):
    assert main(["report", str(runs), "-o", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "not measured here" in text
    assert "| SS-NAN | 87.59 | 56.03 | 47.92 |" in text
    with (tmp_path / "out" / "summary.csv").open() as file:
        assert next(csv.reader(file))[0] == "System"


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
    assert row[head.index("over photos")] == "–"  # nobody wrote photos.json
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
        (folder / "photos.json").write_text(json.dumps(photos(gain)))
    head, each, some = paired(read_systems([tmp_path / "base", tmp_path / "each", tmp_path / "some"]))
    low, high = map(float, each[head.index("over photos")].split(" … "))
    iou = [(hits / 10 + 50 / (60 - hits)) / 2 for hits in (5, 6)]
    assert low == high == pytest.approx(100 * (iou[1] - iou[0]), abs=0.005)
    low, high = map(float, some[head.index("over photos")].split(" … "))
    assert 0 < low < 100 * (iou[1] - iou[0]) < high


def test_one_system_is_beside_nobody(runs):
    assert paired(read_systems([runs / "neural"])) == []


def test_pairs_of_an_earlier_report_do_not_stay(tmp_path):
    places = [write_run(tmp_path / name, 5, seed=0) for name in ("base", "other")]
    for some, pairs in ((places, True), (places[:1], False)):
        write(read_systems(some), tmp_path / "out")
        assert (tmp_path / "out" / "paired.csv").is_file() == pairs
