import json

import numpy as np

from experiments.joint_loss import errors_by_region
from ssnan.labels import LIP


def test_shares_and_what_would_be_without_by_hand(tmp_path, monkeypatch, capsys):
    """Left arm: 6 right, 2 called right arm, 2 background. Nothing else but background."""
    confusion = np.zeros((20, 20), dtype=int)
    left, right = (LIP.classes.index(f"{side}-arm") for side in ("left", "right"))
    confusion[0, 0] = 10
    confusion[left, left], confusion[left, right], confusion[left, 0] = 6, 2, 2
    (tmp_path / "e.json").write_text(json.dumps({"confusion": confusion.tolist()}))
    monkeypatch.setattr("sys.argv", ["errors_by_region", str(tmp_path / "e.json")])
    errors_by_region.main()
    lines = dict(line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line)
    assert lines["person and background"] == "50.0 %"
    assert lines["left and right, among those"] == "50.0 %"
    assert lines["classes of one joint"] == "0.0 %"
    assert lines["as it is"] == f"{100 * (10 / 12 + 6 / 10) / 2:.2f}"
    assert lines["without those between left and right"] == f"{100 * (10 / 12 + 8 / 10) / 2:.2f}"
    assert lines["without those between person and background"] == f"{100 * (1 + 8 / 10) / 2:.2f}"
