import numpy as np
import pytest
from PIL import Image

from fakes.lip import person, write_lip
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.io.opening import ImageError


@pytest.mark.parametrize("nested", [False, True])
def test_reads_photos_and_label_ids(tmp_path, nested):
    folder = open_split(write_lip(tmp_path, nested=nested), "train")
    assert [pair.id for pair in folder.pairs] == ["train_0", "train_1", "train_2", "train_3"]
    sample = folder[2]
    np.testing.assert_array_equal(sample.labels, person(shift=2)[1])
    assert sample.image.shape == (96, 64, 3)


def test_flat_form_and_other_case(tmp_path):
    root = write_lip(tmp_path)
    (root / "TrainVal_images").rename(root / "trainval_images")
    assert len(open_split(root, "val")) == 2
    for parent in ("trainval_images", "TrainVal_parsing_annotations"):
        for child in list((root / parent).iterdir()):
            child.rename(root / child.name)
        (root / parent).rmdir()
    assert len(open_split(root, "val")) == 2


def test_says_what_is_missing(lip_root):
    with pytest.raises(ValueError, match="test_images"):
        open_split(lip_root, "test")
    with pytest.raises(ValueError, match="no such folder"):
        open_split(lip_root / "none", "val")
    (lip_root / "TrainVal_parsing_annotations" / "val_segmentations" / "val_1.png").unlink()
    with pytest.raises(ValueError, match="val_1 has no mask"):
        open_split(lip_root, "val")


def test_damaged_and_mismatched_files_are_named(lip_root):
    folder = open_split(lip_root, "train")
    folder.pairs[0].image.write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"train_0\.jpg"):
        folder[0]
    Image.new("L", (5, 5)).save(folder.pairs[1].mask)
    with pytest.raises(ValueError, match=r"train_1.png: is \(5, 5\)"):
        folder[1]


def test_ids_that_are_no_class_are_named(lip_root):
    folder = open_split(lip_root, "train")
    Image.fromarray(np.full((96, 64), 20, np.uint8)).save(folder.pairs[0].mask)
    with pytest.raises(DatasetError, match=r"train_0\.png: has label id 20, which is not a class of 'lip' \(0\.\.19\)"):
        folder[0]
