import io
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fakes.custom import write_custom
from fakes.keypoints import SLEEVED, entry, write_joints
from fakes.lip import write_lip
from ssnan.commands import main
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.data.packed import pack


@pytest.fixture(params=["webdataset", "parquet"])
def packed(request, tmp_path, capsys):
    """LIP's layout with 21 training photos, in files of 10."""
    root = write_lip(tmp_path / "lip", train=21, val=2)
    command = ["data", "pack", str(root), "-o", str(tmp_path / "packed"), "--into", request.param, "--shard", "10"]
    assert main(command) == 0
    assert "23 samples packed into" in capsys.readouterr().out
    return root, tmp_path / "packed"


def test_every_sample_is_what_it_was(packed):
    for split, count in (("train", 21), ("val", 2)):
        before, after = (open_split(root, split) for root in packed)
        assert len(after) == count
        assert after.label_set == before.label_set
        for index in (count - 1, 0, count // 2):  # in any order
            for mine, theirs in zip(before[index], after[index], strict=True):
                assert np.array_equal(mine, theirs)
            assert after.pairs[index].image.read_bytes() == before.pairs[index].image.read_bytes()


def test_others_read_the_files_too(packed):
    _, root = packed
    files = sorted(path.name for path in root.iterdir() if path.name != "packed.json")
    ending = files[0].rpartition(".")[2]
    assert files == [f"train-00000{n}.{ending}" for n in range(3)] + [f"val-000000.{ending}"]
    if ending == "tar":
        with tarfile.open(root / "train-000001.tar") as tar:
            assert tar.getnames()[:2] == ["train_10.jpg", "train_10.mask.png"]
            mask = np.array(Image.open(tar.extractfile("train_10.mask.png")))
    else:
        table = pq.read_table(root / "train-000001.parquet")
        assert table.column_names == ["id", "image", "mask"]
        mask = np.array(Image.open(io.BytesIO(table["mask"][0].as_py())))
    assert np.array_equal(mask, open_split(root, "train")[10].labels)


def test_it_is_checked_as_a_folder_is(packed, capsys):
    root, where = packed
    told = []
    for dataset in (root, where):
        main(["data", "check", str(dataset)])
        told.append(capsys.readouterr().out.splitlines()[-1])
    assert told[0] == told[1]


def test_masks_in_colours_and_sets_become_ids(tmp_path):
    root = write_custom(tmp_path / "workwear")
    assert main(["data", "pack", str(root), "-o", str(tmp_path / "packed")]) == 0
    before, after = open_split(root, "val"), open_split(tmp_path / "packed", "val")
    assert after.label_set == before.label_set
    assert np.array_equal(after[0].labels, before[0].labels)


def test_a_shard_that_is_gone_is_said(packed):
    _, root = packed
    next(root.glob("train-000001.*")).unlink()
    with pytest.raises(DatasetError, match="train-000001"):
        open_split(root, "train")


def test_a_damaged_member_is_named(packed):
    _, root = packed
    file = next(root.glob("val-000000.*"))
    content = file.read_bytes()
    file.write_bytes(content.replace(b"\xff\xd8\xff", b"\x00\x00\x00").replace(b"\x89PNG", b"\x00PNG"))
    with pytest.raises(ValueError, match="val-000000"):
        open_split(root, "val")[0]


def test_mistakes_are_one_clear_line_and_leave_nothing(tmp_path, capsys):
    root = write_lip(tmp_path / "lip")
    assert main(["data", "pack", str(root)]) == 2
    assert "expected -o FOLDER" in capsys.readouterr().err
    next((root / "TrainVal_images" / "val_images").iterdir()).write_bytes(b"damaged")
    assert main(["data", "pack", str(root), "-o", str(tmp_path / "out")]) == 1
    assert "not an image" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))
    (tmp_path / "out" / "packed.json").write_text("[]")
    assert main(["data", "pack", str(root), "-o", str(tmp_path / "out")]) == 2
    assert "contains a packed dataset" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "out")]) == 1
    assert "not an index of 'ssnan data pack'" in capsys.readouterr().err


def test_keypoints_are_packed_too(tmp_path):
    root = write_custom(tmp_path / "own")
    write_joints(root, {"p1": entry(SLEEVED[0] / 3)})
    assert main(["data", "pack", str(root), "-o", str(tmp_path / "packed")]) == 0
    before, after = (open_split(tmp_path / name, "train").keypoints for name in ("own", "packed"))
    assert after.keys() == before.keys() == {"p1"}
    np.testing.assert_array_equal(after["p1"], before["p1"])


@pytest.mark.parametrize("into", ["webdataset", "parquet"])
def test_people_are_packed_too(tmp_path, into):
    root = write_custom(tmp_path / "own", colors=False)
    values = yaml.safe_load((root / "dataset.yaml").read_text()) | {"instances": "people"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (root / "people").mkdir()
    for number, mask in enumerate(sorted((root / "masks").iterdir()), start=1):
        labels = np.array(Image.open(mask))
        Image.fromarray((labels > 0).astype(np.uint8) * number).save(root / "people" / mask.name)
    assert main(["data", "pack", str(root), "-o", str(tmp_path / "packed"), "--into", into, "--shard", "2"]) == 0
    before, after = (open_split(tmp_path / name, "train") for name in ("own", "packed"))
    for index in range(len(before)):
        assert before[index].instances.any()
        assert np.array_equal(after[index].instances, before[index].instances)


def test_a_long_name_is_packed(tmp_path):
    root = write_custom(tmp_path / "own", count=2)
    for folder, ending in (("photos", "jpg"), ("masks", "png")):
        (root / folder / f"p0.{ending}").rename(root / folder / f"{'ü' * 110}.{ending}")
    assert main(["data", "pack", str(root), "-o", str(tmp_path / "packed")]) == 0
    for split in ("train", "val"):
        before, after = (open_split(tmp_path / name, split) for name in ("own", "packed"))
        assert after[0].id == before[0].id
        assert np.array_equal(after[0].image, before[0].image)


def test_two_photos_of_one_name_are_refused(tmp_path):
    folder = open_split(write_lip(tmp_path / "lip"), "train")
    twice = replace(folder, pairs=(folder.pairs[0], *folder.pairs))
    with pytest.raises(DatasetError, match=f"train: 2 photos are named {folder.pairs[0].id};"):
        list(pack({"train": twice}, tmp_path / "packed", "webdataset", 10))
    assert not (tmp_path / "packed").exists() or not list((tmp_path / "packed").iterdir())
