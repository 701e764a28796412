import sys

import numpy as np
from PIL import Image

from experiments.data import selfies
from experiments.data.marks import OTHER
from experiments.data.selfies import SOMEBODY, bounded
from ssnan.data.layouts import open_split
from ssnan.labels import LIP

COAT, FACE = (LIP.classes.index(name) for name in ("coat", "face"))


def test_parts_lie_inside_the_outline():
    grown = np.array([[COAT, COAT, 0, 255, OTHER], [0, FACE, 255, OTHER, COAT]], dtype=np.uint8)
    outline = np.array([[0, 1, 1, 1, 1], [0, 1, 0, 0, 0]], dtype=np.uint8) * SOMEBODY
    expected = [[0, COAT, SOMEBODY, SOMEBODY, SOMEBODY], [0, FACE, 0, 255, 0]]
    assert bounded(grown, outline).tolist() == expected


def test_marked_photos_get_parts_and_the_others_stay(tmp_path, monkeypatch):
    for folder in ("outlines/photos", "outlines/masks", "grown/masks"):
        (tmp_path / folder).mkdir(parents=True)
    outline = np.full((4, 6), SOMEBODY, dtype=np.uint8)
    for name in ("one", "two"):
        Image.new("RGB", (6, 4)).save(tmp_path / "outlines" / "photos" / f"{name}.png")
        Image.fromarray(outline).save(tmp_path / "outlines" / "masks" / f"{name}.png")
    Image.fromarray(np.full((4, 6), COAT, dtype=np.uint8)).save(tmp_path / "grown" / "masks" / "one.png")
    (tmp_path / "outlines" / "train.txt").write_text("one\n")
    (tmp_path / "outlines" / "val.txt").write_text("two\n")
    output = tmp_path / "taught"
    inputs = [str(tmp_path / name) for name in ("outlines", "grown")]
    monkeypatch.setattr(sys, "argv", ["selfies", *inputs, "-o", str(output)])
    selfies.main()
    masks = {name: np.asarray(Image.open(output / "masks" / f"{name}.png")) for name in ("one", "two")}
    assert (masks["one"] == COAT).all()
    assert (masks["two"] == SOMEBODY).all()
    assert [len(open_split(output, split)) for split in ("train", "val")] == [1, 1]
