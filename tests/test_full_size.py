import importlib.util
from pathlib import Path

import pytest
import torch
import yaml

from fakes.lip import write_lip
from ssnan.data.layouts import open_split
from ssnan.training.main import train

ROOT = Path(__file__).parent.parent


@pytest.fixture
def full_size():
    specification = importlib.util.spec_from_file_location("full_size", ROOT / "tools" / "full_size.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_dataset_in_archives_is_the_same_dataset(full_size, tmp_path):
    root = write_lip(tmp_path / "people", train=9)
    full_size.pack([root], tmp_path / "parts", megabytes=0.52)
    parts = list((tmp_path / "parts").glob("*.tar"))
    assert len(parts) > 2
    assert all(path.stat().st_size < 520_000 for path in parts)
    full_size.unpack(tmp_path / "parts", tmp_path / "back")
    for split in ("train", "val"):
        before, after = open_split(root, split), open_split(tmp_path / "back" / "people", split)
        assert sorted(pair.id for pair in after.pairs) == sorted(pair.id for pair in before.pairs)
        for pair in after.pairs:
            original = next(one for one in before.pairs if one.id == pair.id)
            assert pair.image.read_bytes() == original.image.read_bytes()
            assert pair.mask.read_bytes() == original.mask.read_bytes()


def test_weights_travel_in_small_files(full_size, tmp_path):
    torch.manual_seed(0)
    convolution = torch.randn(64, 32, 3, 3) * torch.logspace(-3, 1, 64)[:, None, None, None]
    state = {"network.a.weight": convolution, "network.b.weight": convolution[:3], "network.a.bias": torch.randn(64)}
    kept = {"hyper_parameters": {"learning_rate": 0.1}, "epoch": 3}
    torch.save({"state_dict": state, "optimizer_states": [1], **kept}, tmp_path / "one.ckpt")
    full_size.split(tmp_path / "one.ckpt", tmp_path / "pieces", megabytes=0.018)
    assert len(list((tmp_path / "pieces").iterdir())) > 1
    full_size.join(tmp_path / "pieces", tmp_path / "two.ckpt")
    content = torch.load(tmp_path / "two.ckpt", weights_only=True)
    assert {key: content[key] for key in kept} == kept
    assert "optimizer_states" not in content
    assert torch.equal(content["state_dict"]["network.a.bias"], state["network.a.bias"])
    back = content["state_dict"]["network.a.weight"]
    largest = convolution.abs().amax(dim=(1, 2, 3), keepdim=True)
    assert ((back - convolution).abs() <= largest / 254 + 1e-7).all()


@pytest.mark.parametrize("tiny", [False, True])
def test_every_run_of_the_full_size_is_accepted(full_size, tiny, capsys):
    also = ["full/tiny"] if tiny else []
    budgets = {}
    for name, seed in full_size.ORDER:
        if seed == 0:
            with pytest.raises(SystemExit):
                train([*full_size.arguments_of(name, seed, also), "--print_config"])
            values = yaml.safe_load(capsys.readouterr().out)
            budgets[name] = values["data"] | {"epochs": values["trainer"]["max_epochs"]}
            assert values["model"]["compiled"] is not tiny
            assert (values["model"]["joint_form"] == "weighted") == name.endswith("_step2")
            assert (values["model"]["start_from"] is None) == ("_step2" not in name)
    first = {name: budget for name, budget in budgets.items() if "_step2" not in name}
    assert all(budget == first["ss_nan"] for budget in first.values())
    assert set(full_size.STEP1) | set(full_size.STEP2) == set(budgets)
