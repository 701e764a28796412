import json

import numpy as np
import pytest
from pycocotools import mask as run_lengths

from fakes.crowds import crowd, runs, write_coco
from ssnan.data.coco import _mask
from ssnan.data.folder import DatasetError
from ssnan.data.layouts import open_split
from ssnan.labels import FIRST_SET, LIP, UNKNOWN_PERSON

FILE = "instances_val2017.json"


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path / "coco")


def change(root, **values):
    """Set keys of the first annotation of the file."""
    file = root / "annotations" / FILE
    document = json.loads(file.read_text())
    document["annotations"][1] |= values
    file.write_text(json.dumps(document))


def test_people_are_told_apart_without_parts(root):
    folder = open_split(root, "val")
    assert [pair.id for pair in folder.pairs] == [f"{number:012}" for number in range(4)]
    sample = folder[2]
    _, labels, people = crowd(2, 2)
    assert sorted(np.unique(sample.instances[people == own]).tolist() for own in (1, 2)) == [[1], [2]]
    assert (sample.labels[people > 0] == FIRST_SET).all()
    assert not sample.labels[labels == 0].any()
    assert folder.label_set.agrees_with(LIP)
    assert not folder[0].labels.any()


def test_a_crowd_is_ignored(root):
    sample = open_split(root, "val")[3]
    _, _, people = crowd(3, 3)
    assert (sample.labels[people == 3] == LIP.ignore_index).all()
    assert (sample.instances[people == 3] == UNKNOWN_PERSON).all()
    assert set(np.unique(sample.instances[people != 3])) == {0, 1, 2}


def test_polygons_and_run_lengths_are_those_of_pycocotools():
    rng = np.random.default_rng(3)
    for share in (0.0, 0.03, 0.5, 1.0):
        mask = rng.random((37, 53)) < share
        packed = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
        for shape in (runs(mask), packed | {"counts": packed["counts"].decode()}):
            np.testing.assert_array_equal(_mask(shape, 37, 53), mask)
    two = [[2, 3, 20, 3, 20, 9, 2, 9], [30.5, 10, 40, 10, 35, 30]]
    found = _mask(two, 37, 53)
    assert found[3:9, 2:20].all()
    assert found.sum() - 18 * 6 == pytest.approx(95, abs=10)
    assert not _mask([], 37, 53).any()


@pytest.mark.parametrize(
    "shape",
    [
        "a", None, 3, [3], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [["a"] * 6], [[1, 2, 3, 4, 5, float("nan")]],
        {"counts": [9]}, {"size": [9, 9], "counts": [81]}, {"size": [96, 64], "counts": [9]},
        {"size": [96, 64], "counts": ""}, {"size": [96, 64], "counts": [-1, 6145]}, {"size": 5, "counts": [6144]},
        {"size": [96, 64], "counts": "zzz"}, {"size": [96, 64], "counts": "\u20ac"}, {"size": [96, 64], "counts": 7},
    ],
)  # fmt: skip
def test_what_is_no_shape_is_named(root, shape):
    change(root, segmentation=shape)
    with pytest.raises(DatasetError, match=rf"{FILE}: annotation 1 of 000000000001.jpg: expected polygons"):
        open_split(root, "val")[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "expected lists of images, annotations and categories"),
        (b"{}", "nothing is called 'categories'"),
        (b'{"categories": 5}', "expected lists"),
        (b'{"categories": [], "images": [], "annotations": []}', "no category 'person'"),
        (b'{"categories": [{"id": 1, "name": "person"}], "images": [{"id": 1}]}', "nothing is called 'file_name'"),
        (
            b'{"categories": [{"id": 1, "name": "person"}], '
            b'"images": [{"id": 1, "file_name": "a.jpg", "height": 0, "width": 5}], "annotations": []}',
            "a.jpg: 5 × 0",
        ),
        (
            b'{"categories": [{"id": 1, "name": "person"}], "images": [], '
            b'"annotations": [{"image_id": 7, "category_id": 1}]}',
            "nothing is called 7",
        ),
    ],
)
def test_a_file_of_another_kind_is_one_line(root, content, message):
    (root / "annotations" / FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as raised:
        open_split(root, "val")
    assert FILE in str(raised.value)
    assert "\n" not in str(raised.value)


def test_splits_and_photos_that_are_not_there_are_named(root):
    with pytest.raises(DatasetError, match=rf"expected one file annotations/instances_train….json, found {FILE}"):
        open_split(root, "train")
    (root / "val2017" / "000000000002.jpg").unlink()
    with pytest.raises(DatasetError, match=r"000000000002.jpg is not in val2017, images/val2017 or images"):
        open_split(root, "val")


@pytest.mark.parametrize("place", ["images/val2017", "images", "."])
def test_photos_may_be_in_other_folders(root, place):
    (root / place).mkdir(parents=True, exist_ok=True)
    for path in list((root / "val2017").iterdir()):
        path.rename(root / place / path.name)
    assert len(open_split(root, "val")) == 4


def test_photos_of_one_name_in_two_folders_have_two_ids(root):
    document = json.loads((root / "annotations" / FILE).read_text())
    for image in document["images"][:2]:
        place = f"camera{image['id']}/0001.jpg"
        (root / "val2017" / place).parent.mkdir()
        (root / "val2017" / image["file_name"]).rename(root / "val2017" / place)
        image["file_name"] = place
    (root / "annotations" / FILE).write_text(json.dumps(document))
    ids = [pair.id for pair in open_split(root, "val").pairs]
    assert len({*ids}) == 4
    assert sum(name.endswith("/0001") and name.startswith("camera") for name in ids) == 2
