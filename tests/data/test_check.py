import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from fakes.custom import write_custom
from ssnan.commands import main
from ssnan.data.check import SplitCheck, between, check_split
from ssnan.labels import LIP


def test_counts(lip_root):
    *_, found = check_split(lip_root, "train")
    assert (found.listed, len(found.sizes), found.problems) == (4, 4, [])
    assert found.sizes[0] == (96, 64)
    assert found.pixels.sum() == 4 * 96 * 64
    assert found.photos[[0, 2, 7, 14]].tolist() == [4, 4, 0, 4]


def test_a_sound_dataset(tmp_path, capsys):
    assert main(["data", "check", str(write_custom(tmp_path))]) == 0
    printed = capsys.readouterr().out
    assert "nothing is wrong" in printed
    assert "upper-clothes" in printed


def test_a_mask_without_a_photo_is_noted(tmp_path, capsys):
    root = write_custom(tmp_path)
    mask = next((root / "masks").glob("*.png"))
    shutil.copy(mask, mask.with_name("misspelled.png"))
    assert main(["data", "check", str(root)]) == 0
    assert "masks without a photo in train or val: 1, for example" in capsys.readouterr().out


def test_everything_wrong_is_listed(lip_root, capsys):
    images, masks = lip_root / "TrainVal_images", lip_root / "TrainVal_parsing_annotations" / "train_segmentations"
    Image.fromarray(np.full((96, 64), 77, np.uint8)).save(masks / "train_0.png")
    (masks / "train_1.png").unlink()
    (images / "train_images" / "train_2.jpg").write_bytes(b"broken")
    shutil.copy(images / "train_images" / "train_3.jpg", images / "val_images" / "val_1.jpg")
    assert main(["data", "check", str(lip_root)]) == 1
    printed = capsys.readouterr().out
    for line in (
        "train_0.png: has ids [77]", "train_1 has no mask", "train_2.jpg", "same file: train_3 and val_1",
    ):  # fmt: skip
        assert line in printed.replace("\n", " ")


def test_same_look_in_another_file_is_found(lip_root, capsys):
    images = lip_root / "TrainVal_images"
    with Image.open(images / "train_images" / "train_3.jpg") as photo:
        photo.save(images / "val_images" / "val_1.jpg", quality=70)
    assert main(["data", "check", str(lip_root)]) == 1
    assert "same look: train_3 and val_1" in capsys.readouterr().out


def test_many_photos_are_compared_in_little_memory():
    signs = np.where(np.random.default_rng(0).random((3000, 256)) < 0.5, 1, -1).astype(np.float32)
    none = np.zeros(len(LIP), dtype=np.int64)
    train, val = (
        SplitCheck(LIP, 3000, none, none, looks=[(f"{split}{i}", row) for i, row in enumerate(rows)])
        for split, rows in (("t", signs), ("v", -signs))
    )
    train.looks[2999] = ("t2999", -signs[0])
    tracemalloc.start()
    assert between(train, val) == ["same look: t2999 and v0"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3000 * 3000 * 4  # bytes of all products


@pytest.mark.parametrize("arguments", [["check"], ["look", "x"], []])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", *arguments])
    assert ended.value.code == 2


def test_a_missing_map_of_people_is_listed(tmp_path, capsys):
    root = write_custom(tmp_path)
    (root / "people").mkdir()
    with (root / "dataset.yaml").open("a") as file:
        file.write("instances: people\n")
    assert main(["data", "check", str(root)]) == 1
    assert ".png: no such file" in capsys.readouterr().out.replace("\n", " ")
