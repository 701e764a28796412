import sys
from dataclasses import replace

import numpy as np
import yaml
from PIL import Image

from experiments import description
from experiments.data import grow, nobody
from ssnan.data.custom import DESCRIPTION, read_label_set
from ssnan.data.layouts import open_split
from ssnan.labels import LIP, ClassSet


def test_what_is_written_is_read(tmp_path):
    labels = replace(LIP, sets=(ClassSet(100, (14, 15)),), table_order=())
    description.write(tmp_path, labels, {"train": ["a", "b"], "val": []}, masks="elsewhere", keypoints=None)
    assert read_label_set(tmp_path / DESCRIPTION) == labels
    values = yaml.safe_load((tmp_path / DESCRIPTION).read_text())
    assert values["splits"] == {"train": "train.txt", "val": "val.txt"}
    assert (values["images"], values["masks"]) == ("photos", "elsewhere")
    assert "keypoints" not in values
    assert (tmp_path / "train.txt").read_text() == "a\nb\n"


def test_a_tenth_of_the_numbers_is_val(tmp_path):
    names = [f"{number}_{person}" for number in range(200) for person in (1, 2)]
    grow.write_description(tmp_path, tmp_path / "photos", names, {100: list(LIP.classes[1:])}, None)
    train, val = ((tmp_path / f"{split}.txt").read_text().split() for split in ("train", "val"))
    assert sorted(train + val) == sorted(names)
    assert 20 < len(val) < 60
    assert not {name.split("_")[0] for name in train} & {name.split("_")[0] for name in val}
    assert read_label_set(tmp_path / DESCRIPTION).sets == (ClassSet(100, tuple(range(1, len(LIP)))),)


def test_photos_of_nobody_keep_their_val_and_canvases_train(tmp_path, monkeypatch):
    photos = tmp_path / "things" / "photos"
    photos.mkdir(parents=True)
    for name in ("cup", "lemon"):
        Image.fromarray(np.full((20, 30, 3), 90, dtype=np.uint8)).save(photos / f"{name}.png")
    (tmp_path / "things" / "val.txt").write_text("lemon\n")
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["nobody", str(photos), "-o", str(out), "--canvases", "12"])
    nobody.main()
    train, val = (open_split(out, split) for split in ("train", "val"))
    assert [pair.id for pair in val.pairs] == ["things-lemon"]
    assert len(train) == 13
    assert val.label_set.agrees_with(LIP)
    assert not any(train[index].labels.any() for index in range(13))
