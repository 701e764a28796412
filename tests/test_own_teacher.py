import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ssnan
from fakes.sets import write_sets
from ssnan.data.layouts import open_split
from ssnan.labels import LIP, ClassSet

TOOL = Path(__file__).parent.parent / "tools" / "own_teacher.py"
LABELS = replace(LIP, sets=(ClassSet(100, (5, 7, 13)), ClassSet(101, (1, 2))))


def test_a_set_becomes_the_likeliest_of_its_own_classes_where_that_is_sure():
    sharpened = runpy.run_path(str(TOOL))["sharpened"]
    labels = np.array([[100, 100, 101, 0, 255, 100]], dtype=np.uint8)
    probabilities = np.zeros((20, 1, 6), dtype=np.float32)
    probabilities[[0, 5, 7], 0, 0] = 0.9, 0.08, 0.02  # 80 % of the set, though background is likelier
    probabilities[[5, 7], 0, 1] = 0.5, 0.5
    probabilities[[1, 2, 5], 0, 2] = 0.1, 0.3, 0.6
    probabilities[5, 0, 3:5] = 1
    # The last pixel's set has no probability at all.
    taught = sharpened(labels, probabilities, LABELS, 0.7)
    assert taught.tolist() == [[5, 100, 2, 0, 255, 100]]


def test_what_people_drew_is_never_contradicted(tmp_path, monkeypatch):
    dataset, taught = write_sets(tmp_path / "half", count=2), tmp_path / "taught"
    argv = [str(TOOL), "small", str(dataset), "-o", str(taught), "--sure", "0", "--limit", "1", "--mirror"]
    monkeypatch.setattr("sys.argv", argv)
    runpy.run_path(str(TOOL), run_name="__main__")
    before, after = open_split(dataset, "train"), open_split(taught, "train")
    assert len(after) == 1
    members = before.label_set.membership
    first, again = before[0].labels, after[0].labels
    np.testing.assert_array_equal(again[first < 100], first[first < 100])
    assert (again < 100).all()
    assert members[first, again].all()
    assert after.label_set == before.label_set
    np.testing.assert_array_equal(before[0].image, after[0].image)
    assert ssnan.load().label_set.agrees_with(after.label_set)


def test_the_dataset_is_never_its_own_output(tmp_path, monkeypatch, capsys):
    dataset = write_sets(tmp_path / "half", count=1)
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    monkeypatch.setattr("sys.argv", [str(TOOL), "small", str(dataset), "-o", str(dataset / "masks" / "..")])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert stopped.value.code == 2
    assert "is the dataset itself, whose masks it would replace; choose another folder" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
