import runpy
from pathlib import Path

import pytest
import torch

TOOL = Path(__file__).parent.parent / "tools" / "average_weights.py"


def checkpoint(path, value):
    state = {"network.backbone.w": torch.full((2, 2), value), "network.n": torch.tensor(7), "other": torch.ones(1)}
    rest = {
        "hyper_parameters": {"a": 1},
        "pytorch-lightning_version": "2",
        "epoch": 3,
        "global_step": 4,
        "optimizer": 5,
    }
    torch.save({"state_dict": state} | rest, path)
    return str(path)


@pytest.mark.parametrize(("share", "expected"), [("0", 1.0), ("0.25", 2.0), ("1", 5.0)])
def test_weights_lie_between(tmp_path, monkeypatch, share, expected):
    first, second = checkpoint(tmp_path / "a.ckpt", 1.0), checkpoint(tmp_path / "b.ckpt", 5.0)
    target = tmp_path / "out" / "c.ckpt"
    monkeypatch.setattr("sys.argv", [str(TOOL), first, second, "--share", share, "-o", str(target)])
    runpy.run_path(str(TOOL), run_name="__main__")
    made = torch.load(target, weights_only=True)
    assert made["state_dict"]["network.backbone.w"].tolist() == [[expected] * 2] * 2
    assert made["state_dict"]["network.n"] == 7
    assert made["hyper_parameters"] == {"a": 1}
    assert "optimizer" not in made
