import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from formats.conftest import LABELS
from ssnan.commands import main
from ssnan.formats.coco import instances, panoptic
from ssnan.formats.folder import NamedResult, read_folder
from ssnan.labels import LIP
from ssnan.results.result import ParsingResult


@pytest.fixture
def coco(folder, capsys):
    assert (
        main(["convert", str(folder / "maps"), "--to", "coco", "--photos", str(folder / "photos"), "-o", str(folder)])
        == 0
    )
    return COCO(folder / "instances.json")


def test_masks_boxes_and_areas_are_read_back(coco):
    assert sorted(image["file_name"] for image in coco.loadImgs(coco.getImgIds())) == ["deeper/two.jpg", "one.jpg"]
    image = next(image for image in coco.loadImgs(coco.getImgIds()) if image["file_name"] == "one.jpg")
    assert (image["width"], image["height"]) == (30, 40)
    labels = np.zeros_like(LABELS)
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
        mask = coco.annToMask(annotation).astype(bool)
        assert annotation["area"] == mask.sum()
        x, y, width, height = annotation["bbox"]
        assert mask[y : y + height, x : x + width].sum() == mask.sum()
        if annotation["category_id"] < 20:
            labels[mask] = annotation["category_id"]
    np.testing.assert_array_equal(labels, np.where(LABELS == 255, 0, LABELS))


def test_people_carry_the_joints(coco):
    (category,) = coco.loadCats(coco.getCatIds(catNms=["person"]))
    assert category["keypoints"] == [region.name for region in LIP.regions]
    for person in coco.loadAnns(coco.getAnnIds(catIds=[category["id"]])):
        points = np.reshape(person["keypoints"], (-1, 3))
        assert len(points) == len(category["keypoints"])
        assert person["num_keypoints"] == (points[:, 2] > 0).sum() > 0


def test_every_person_has_parts_of_their_own(folder):
    """Two people who touch: what ``ssnan parse --people`` wrote is kept."""
    maps = folder / "maps"
    people = np.where(np.indices(LABELS.shape)[1] < 15, 1, 2).astype(np.uint8)
    Image.fromarray(people).save(maps / "one.people.png")
    assert main(["convert", str(maps), "--to", "coco", "-o", str(folder / "out")]) == 0
    coco = COCO(folder / "out" / "instances.json")
    (image,) = (image for image in coco.loadImgs(coco.getImgIds()) if image["file_name"] == "one.png")
    found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
    for number in (1, 2):
        own = [annotation for annotation in found if annotation["attributes"] == {"person": number}]
        (whole,) = (annotation for annotation in own if annotation["category_id"] == 20)
        parts = [coco.annToMask(annotation) for annotation in own if annotation is not whole]
        np.testing.assert_array_equal(sum(parts), coco.annToMask(whole))
        np.testing.assert_array_equal(sum(parts), (people == number) & (LABELS > 0) & (LABELS < 255))


def test_people_are_not_held_together(folder, monkeypatch):
    monkeypatch.setattr(ParsingResult, "people", property(lambda result: pytest.fail("holds everybody")))
    document = instances(read_folder(folder / "maps"))
    assert sum(annotation["category_id"] == 20 for annotation in document["annotations"]) == 2


def test_people_of_another_size_are_named(folder, capsys):
    Image.fromarray(np.ones((3, 4), dtype=np.uint8)).save(folder / "maps" / "one.people.png")
    assert main(["convert", str(folder / "maps"), "--to", "coco", "-o", str(folder / "out")]) == 1
    assert "one.people.png: is (3, 4) (rows, columns), but its map is (40, 30)" in capsys.readouterr().err


def test_pycocotools_measures_what_it_reads(coco, folder):
    from pycocotools.cocoeval import COCOeval

    found = [
        {key: annotation[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 1.0}
        for annotation in coco.dataset["annotations"]
    ]
    measured = COCOeval(coco, coco.loadRes(found), "segm")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    assert measured.stats[0] == 1


def test_panoptic_is_read_back_by_datumaro(folder):
    from datumaro.components.dataset import Dataset

    data = folder / "data"
    assert main(["convert", str(folder / "maps"), "--to", "panoptic", "-o", str(folder / "out")]) == 0
    (data / "annotations").mkdir(parents=True)
    (data / "images").mkdir()
    (folder / "maps").rename(data / "images" / "val")  # a dataset has its pictures with it
    (folder / "out" / "panoptic.json").rename(data / "annotations" / "panoptic_val.json")
    (folder / "out" / "panoptic").rename(data / "annotations" / "panoptic_val")
    (item,) = (item for item in Dataset.import_from(str(data), "coco_panoptic") if item.id == "one")
    labels = np.zeros_like(LABELS)
    for mask in item.annotations:
        labels[mask.image.astype(bool)] = mask.attributes.get("category_id", mask.id)
    np.testing.assert_array_equal(labels, np.where(LABELS == 255, 0, LABELS))


def test_panoptic_s_segments_are_those_of_the_picture(folder):
    assert main(["convert", str(folder / "maps"), "--to", "panoptic", "-o", str(folder / "out")]) == 0
    document = json.loads((folder / "out" / "panoptic.json").read_text())
    assert [category["name"] for category in document["categories"]] == list(LIP.classes[1:])
    for annotation in document["annotations"]:
        colors = np.array(Image.open(folder / "out" / "panoptic" / annotation["file_name"])).astype(int)
        ids = colors @ (1, 256, 65536)
        assert {segment["id"]: segment["area"] for segment in annotation["segments_info"]} == {
            i: (ids == i).sum() for i in np.unique(ids) if i
        }


def test_panoptic_s_picture_has_only_classes():
    labels = np.full((4, 4), 150, dtype=np.uint8)
    labels[0] = LIP.classes.index("hair")
    picture, _, _ = panoptic(1, NamedResult("one", "one.jpg", ParsingResult(labels, LIP)))
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], np.where(labels == 150, 0, labels))


def test_readers_find_the_head_that_they_want(coco, folder):
    assert {"info", "licenses"} <= coco.dataset.keys()
    assert {"description", "version", "year"} <= coco.dataset["info"].keys()
