import json
from pathlib import Path

import numpy as np

from experiments.full_size import comparison
from experiments.full_size.recipes import SYSTEMS
from experiments.measuring import Measured

HERE = Path(comparison.__file__).parent


def pixels(hits):
    """Thirty photos with a hundred pixels of each class, ``hits`` of them right."""
    counts = np.full((30, 3, 20), 100)
    counts[:, 0] = hits
    return counts


def write(folder, name, hits, right):
    for dataset in ("lip-marks", "ccp-lip", "lip-photos"):
        sides = np.repeat([[[10, 9, 8, right]]], 30, axis=0)
        Measured(pixels(hits), sides, [f"{dataset} {n}" for n in range(30)]).save(folder / name / f"{dataset}.npz")
    numbers = {"crops": 300, "seconds": 10.0, "parameters": 2_500_000, "gflops_321": 7.4}
    (folder / name / "numbers.json").write_text(json.dumps(numbers))


def test_rows_by_hand(tmp_path):
    write(tmp_path, "ss_nan", hits=100, right=6)
    write(tmp_path, "average", hits=50, right=4)
    write(tmp_path, "ss_nan_step2", hits=100, right=8)
    (tmp_path / "maximum").mkdir()  # trained, not yet measured
    read = comparison.read(tmp_path, ["average", "maximum", "ss_nan", "ss_nan_step2"])
    head, average, ours, second = comparison.systems_table(read)
    assert average[:4] == ["average", "33.33", "33.33", "33.33"]  # 50 / (100 + 100 - 50)
    assert average[4] == "+66.67 (+66.67 … +66.67)"
    assert average[5:9] == ["33.33", "+66.67 (+66.67 … +66.67)", "33.33", "50.00"]
    assert average[9] == "+25.00 (+25.00 … +25.00)"
    assert average[10:] == ["2.5", "7", "30"]
    assert ours[:5] == ["ss_nan", "100.00", "100.00", "100.00", ""]
    assert second[4] == ""  # its crops are not those of the others
    assert len(head) == len(average)
    assert comparison.second_step_table(read) == []


def test_the_second_step_beside_its_control(tmp_path):
    write(tmp_path, "ss_nan_step2", hits=100, right=6)
    write(tmp_path, "ss_nan_step2_none", hits=50, right=4)
    _, iou, limbs, sides = comparison.second_step_table(
        comparison.read(tmp_path, ["ss_nan_step2", "ss_nan_step2_none"])
    )
    assert iou == ["mean IoU", "33.33", "100.00", "+66.67 (+66.67 … +66.67)"]
    assert limbs[:3] == ["limb IoU", "33.33", "100.00"]
    assert sides == ["right sides", "50.00", "75.00", "+25.00 (+25.00 … +25.00)"]


def test_readme_prints_what_is_kept_here():
    readme = (HERE / "README.md").read_text()
    kept = comparison.read(HERE / "counts", SYSTEMS)
    assert len(kept) == 8
    for name, marks, *_ in comparison.systems_table(kept)[1:]:
        assert any(line.startswith(f"| {name} | {marks} |") for line in readme.splitlines()), name
    for outcome, without, with_it, gain in comparison.second_step_table(kept)[1:]:
        assert f"| {outcome} | {without} | {with_it} | {gain} |" in readme
