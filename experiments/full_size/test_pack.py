import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from experiments.full_size import pack
from fakes.keypoints import SLEEVED, entry, write_joints
from fakes.sets import SETS, write_sets
from ssnan.data.layouts import open_split
from ssnan.training.cli import command_line

CONFIG = {
    "data": {
        "sources": [{"root": "data/marks", "share": 1}, {"root": "data/nobody", "share": 1}],
        "validation": "data/marks",
        "pasting": {"scenes": "data/scenes/photos", "people": ["data/marks"], "share": 1},
        "preprocessing": {"longest_side": 64},
        "crop": [64, 48],
        "num_workers": 0,
    },
    "model": {"network": {"class_path": "ssnan.models.SSNAN", "init_args": {"backbone": {"name": "resnet10t"}}}},
    "trainer": {"accelerator": "cpu"},
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Datasets of a run: sets of classes and keypoints, pictures of nobody, and scenes."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    data = tmp_path / "here" / "data"
    write_joints(write_sets(data / "marks"), {"h1": entry(SLEEVED[0])})
    description = yaml.safe_load((data / "marks" / "dataset.yaml").read_text())
    lists = {"train": "all.txt", "val": "all.txt"}
    description |= {"masks": "background", "sets": None, "splits": lists, "keypoints": None}
    random = np.random.default_rng(0)
    for folder, count in (("nobody/photos", 12), ("scenes/photos", 3)):
        (data / folder).mkdir(parents=True)
        for number in range(count):
            noise = random.integers(0, 255, (600, 800, 3), dtype=np.uint8)
            Image.fromarray(noise).save(data / folder / f"n{number}.jpg", quality=30)
    (data / "nobody" / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    (data / "nobody" / "all.txt").write_text("".join(f"n{number}\n" for number in range(12)))
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setattr(pack, "arguments_of", lambda name: ["--config", str(path)])
    return ["--config", str(path)]


def packed(monkeypatch, *options):
    monkeypatch.setattr("sys.argv", ["pack.py", "data", "small", "-o", "../pieces", "--workers", "0", *options])
    pack.main()


def test_what_was_packed_trains_elsewhere(recipe, tmp_path, monkeypatch, capsys):
    packed(monkeypatch, "--side", "300", "--quality", "90", "--megabytes", "0.25")
    assert "data/nobody: 12 photos of train" in capsys.readouterr().out
    pieces = sorted((tmp_path / "pieces").iterdir())
    assert len(pieces) > 2
    assert all(path.stat().st_size <= 0.25 * 2**20 for path in pieces)
    before = open_split("data/marks", "train")
    photo = before[1]
    pack.unpack(tmp_path / "pieces", tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    after = open_split("data/marks", "train")
    assert [pair.id for pair in after.pairs] == [pair.id for pair in before.pairs]
    assert after.label_set == before.label_set
    assert len(after.label_set.sets) == len(SETS)
    np.testing.assert_array_equal(after[1].labels, photo.labels)
    np.testing.assert_allclose(after[1].keypoints, photo.keypoints, atol=1e-4)
    assert np.abs(after[1].image.astype(int) - photo.image).mean() < 8
    nobody = open_split("data/nobody", "train")[0]
    assert nobody.image.shape == (225, 300, 3)
    assert not nobody.labels.any()
    data = command_line(recipe).datamodule
    data.setup("fit")
    assert {"images", "labels", "limbs"} <= next(iter(data.train_dataloader())).keys()


def test_a_tiny_copy_keeps_a_few_of_each(recipe, tmp_path, monkeypatch):
    packed(monkeypatch, "--limit", "2", "--limit", "nobody=5")
    pack.unpack(tmp_path / "pieces", tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    assert len(open_split("data/marks", "train")) == len(open_split("data/marks", "val")) == 2
    assert len(open_split("data/nobody", "train")) == 5
    assert len(list((tmp_path / "there" / "data" / "scenes" / "photos").iterdir())) == 2


def test_the_datasets_of_another_experiment_come_along(recipe, tmp_path, monkeypatch):
    shutil.copytree("data/nobody", "data/other")
    packed(monkeypatch, "--limit", "2", "--dataset", "data/other")
    pack.unpack(tmp_path / "pieces", tmp_path / "there")
    for split in ("train", "val"):
        assert len(open_split(tmp_path / "there/data/other", split)) == 2


def test_a_folder_elsewhere_cannot_be_unpacked_at_its_place(recipe, tmp_path, monkeypatch):
    absolute = json.loads(json.dumps(CONFIG).replace("data/marks", str(tmp_path / "here" / "data" / "marks")))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(absolute))
    with pytest.raises(SystemExit, match="expected a folder below the working directory"):
        packed(monkeypatch)


def test_nothing_to_unpack(tmp_path):
    with pytest.raises(SystemExit, match=r"no \.tar\.gz"):
        pack.unpack(tmp_path, tmp_path)


def test_weights_travel_in_small_files(tmp_path):
    torch.manual_seed(0)
    state = {f"network.{name}.weight": torch.randn(64, 32, 3, 3) for name in "abcd"}
    state |= {"network.a.bias": torch.randn(64), "network.a.count": torch.tensor(3), "huge": torch.full((2, 2), 1e6)}
    kept = {"hyper_parameters": {"learning_rate": 0.1}, "epoch": 3}
    torch.save({"state_dict": state, "optimizer_states": [1], **kept}, tmp_path / "one.ckpt")
    pack.split(tmp_path / "one.ckpt", tmp_path / "pieces", megabytes=0.15)
    pieces = sorted((tmp_path / "pieces").iterdir())
    assert len(pieces) > 2
    assert all(path.stat().st_size <= 0.15 * 2**20 for path in pieces)
    pack.join(tmp_path / "pieces", tmp_path / "new" / "two.ckpt")
    content = torch.load(tmp_path / "new" / "two.ckpt", weights_only=True)
    assert {key: content[key] for key in kept} == kept
    assert "optimizer_states" not in content
    back = content["state_dict"]
    assert list(back) == list(state)
    for name, value in state.items():
        torch.testing.assert_close(back[name], value, rtol=1e-3 if value.ndim == 4 else 0, atol=1e-6)


def test_a_lost_piece_is_noticed(tmp_path):
    torch.save({"state_dict": {"a": torch.randn(300, 300), "b": torch.randn(300, 300)}}, tmp_path / "one.ckpt")
    pack.split(tmp_path / "one.ckpt", tmp_path / "pieces", megabytes=0.25)
    shutil.move(tmp_path / "pieces" / "weights02of02.pt", tmp_path)
    with pytest.raises(SystemExit, match=r"weightsNNofNN\.pt, found 1"):
        pack.join(tmp_path / "pieces", tmp_path / "two.ckpt")
