import numpy as np
import pytest
from PIL import Image

from fakes.lip import person, write_lip
from ssnan.data.lip import LIPFolder
from ssnan.images import ImageError


@pytest.mark.parametrize("nested", [False, True])
def test_reads_pictures_and_label_ids(tmp_path, nested):
    folder = LIPFolder(write_lip(tmp_path, nested=nested), "train")
    assert folder.ids == ["train_0", "train_1", "train_2", "train_3"]
    sample = folder[2]
    np.testing.assert_array_equal(sample.labels, person(shift=2)[1])
    assert sample.image.shape == (96, 64, 3)


def test_flat_form_and_other_case(tmp_path):
    root = write_lip(tmp_path)
    (root / "TrainVal_images").rename(root / "trainval_images")
    assert len(LIPFolder(root, "val")) == 2
    for parent in ("trainval_images", "TrainVal_parsing_annotations"):
        for child in list((root / parent).iterdir()):
            child.rename(root / child.name)
        (root / parent).rmdir()
    assert len(LIPFolder(root, "val")) == 2


def test_says_what_is_missing(lip_root):
    with pytest.raises(ValueError, match="test_images"):
        LIPFolder(lip_root, "test")
    with pytest.raises(ValueError, match="no such folder"):
        LIPFolder(lip_root / "none", "val")
    (lip_root / "TrainVal_parsing_annotations" / "val_segmentations" / "val_1.png").unlink()
    with pytest.raises(ValueError, match="val_1 has no mask"):
        LIPFolder(lip_root, "val")


def test_damaged_and_mismatched_files_are_named(lip_root):
    folder = LIPFolder(lip_root, "train")
    folder.pairs[0][0].write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"train_0\.jpg"):
        folder[0]
    Image.new("L", (5, 5)).save(folder.pairs[1][1])
    with pytest.raises(ValueError, match=r"train_1.png: is \(5, 5\)"):
        folder[1]
