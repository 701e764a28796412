import numpy as np
import pytest
import yaml
from PIL import Image

from fakes.crowds import crowd, write_cihp, write_mhp
from fakes.custom import write_custom
from ssnan.commands import main
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.data.mhp import FIRST, SECOND
from ssnan.labels import LIP, UNKNOWN_PERSON


def test_cihp_tells_people_apart_and_has_no_torso_skin(tmp_path):
    folder = open_split(write_cihp(tmp_path), "val")
    assert len(folder) == 3
    sample = folder[1]
    _, labels, people = crowd(2, 1)
    np.testing.assert_array_equal(sample.instances, people)
    assert (sample.labels[-4:, :4] == LIP.ignore_index).all()
    np.testing.assert_array_equal(sample.labels[:-4], labels[:-4])


@pytest.mark.parametrize("version", [1, 2])
def test_mhp_has_a_mask_for_each_person(tmp_path, version):
    folder = open_split(write_mhp(tmp_path, version), "val")
    sample = folder[1]
    _, labels, people = crowd(2, 1)
    bags = np.zeros(labels.shape, dtype=bool)
    for own in (1, 2):
        left = np.flatnonzero((people == own).any(axis=0))[0]
        bags[90:94, left : left + 4] = True
    assert (sample.labels[bags] == LIP.ignore_index).all()
    np.testing.assert_array_equal(sample.labels[~bags], labels[~bags])
    np.testing.assert_array_equal(sample.instances[~bags], people[~bags])
    # A bag is an accessory of a person in version 1, and an object in version 2.
    assert set(np.unique(sample.instances[bags])) == ({1, 2} if version == 1 else {UNKNOWN_PERSON})


def test_the_masks_of_everybody_are_used(tmp_path, capsys):
    home = write_mhp(tmp_path, 1, (1, 2, 2, 2, 3)) / "LV-MHP-v1"
    (home / "train_list.txt").write_text("0.jpg\n1.jpg\n")
    main(["data", "check", str(tmp_path)])
    assert "masks without a photo" not in capsys.readouterr().out
    (home / "test_list.txt").write_text("2.jpg\n3.jpg\n")
    main(["data", "check", str(tmp_path)])
    assert "masks without a photo in train or val: 3, for example" in capsys.readouterr().out


def test_every_class_of_mhp_has_a_meaning():
    assert (len(FIRST), len(SECOND)) == (18, 59)
    assert {name for name in (*FIRST, *SECOND) if name} - {"held"} <= set(LIP.classes)
    assert (SECOND[22], SECOND[31], SECOND[49]) == ("left-shoe", "right-leg", "gloves")


def test_lists_and_splits_that_are_not_there_are_named(tmp_path):
    write_cihp(tmp_path / "cihp")
    write_mhp(tmp_path / "mhp", 2)
    for root, split, message in (
        ("cihp", "train", r"expected Training/Human_ids and Training/train_id.txt \(CIHP's layout\)"),
        ("cihp", "test", "no split 'test'; expected one of train, val"),
        ("mhp", "train", "train.txt: no such list"),
        ("mhp", "test", "no split 'test'; expected train or val"),
    ):
        with pytest.raises(DatasetError, match=message):
            open_split(tmp_path / root, split)


def test_a_photo_without_masks_is_named(tmp_path):
    write_mhp(tmp_path, 1)
    for path in (tmp_path / "LV-MHP-v1" / "annotations").glob("1_*.png"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"test_list.txt: 1 has no mask"):
        open_split(tmp_path, "val")


@pytest.fixture
def own(tmp_path):
    root = write_custom(tmp_path / "own", colors=False)
    description = yaml.safe_load((root / "dataset.yaml").read_text())
    (root / "dataset.yaml").write_text(yaml.safe_dump(description | {"instances": "people"}, sort_keys=False))
    return root


def test_own_data_may_tell_people_apart(own):
    with pytest.raises(DatasetError, match="instances: no such folder"):
        open_split(own, "train")
    (own / "people").mkdir()
    for path in (own / "masks").glob("*.png"):
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8) * 7).save(own / "people" / path.name)
    sample = open_split(own, "train")[0]
    np.testing.assert_array_equal(sample.instances, 7 * (sample.labels > 0))
    Image.fromarray(np.zeros((3, 4), dtype=np.uint8)).save(own / "people" / f"{sample.id}.png")
    with pytest.raises(DatasetError, match=r"but its map of people is \(3, 4\)"):
        open_split(own, "train")[0]
