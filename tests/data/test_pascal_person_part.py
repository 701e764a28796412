import numpy as np
import pytest
from PIL import Image

from fakes.pascal_person_part import parts, write_pascal_person_part
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.labels import PASCAL_PERSON_PART


@pytest.mark.parametrize("unpacked", [False, True])
def test_reads_indices_not_colours(tmp_path, unpacked):
    folder = open_split(write_pascal_person_part(tmp_path, unpacked=unpacked), "train")
    assert folder.label_set == PASCAL_PERSON_PART
    assert [pair.id for pair in folder.pairs] == [f"2008_train{i}" for i in range(4)]
    sample = folder[1]
    np.testing.assert_array_equal(sample.labels, parts(1)[1])
    # The same mask read as grey levels of its colours would hold other numbers.
    with Image.open(folder.pairs[1].mask) as mask:
        assert mask.mode == "P"
        assert not np.array_equal(np.asarray(mask.convert("L")), sample.labels)


def test_the_other_form(tmp_path):
    root = write_pascal_person_part(tmp_path)
    (root / "pascal_person_part_gt").rename(root / "SegmentationPart")
    (root / "pascal_person_part_trainval_list").rename(root / "list")
    assert len(open_split(root, "val")) == 2


def test_says_what_is_missing(tmp_path):
    root = write_pascal_person_part(tmp_path)
    with pytest.raises(DatasetError, match=r"test\.txt: no such list; there are train, val"):
        open_split(root, "test")
    for name in ("2008_val0", "2008_val1"):
        (root / "pascal_person_part_gt" / f"{name}.png").unlink()
    with pytest.raises(DatasetError, match=r"2008_val0 has no mask .*\(and 1 more\); 'ssnan data check"):
        open_split(root, "val")
