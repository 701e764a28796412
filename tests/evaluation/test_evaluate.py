import json
from dataclasses import replace

import numpy as np
import pytest

from fakes.keypoints import SLEEVED
from ssnan.data.folder import Sample
from ssnan.evaluation.evaluate import evaluate, numbers, record, tables
from ssnan.evaluation.instances import Instances
from ssnan.evaluation.metrics import class_counts, confusion_matrix
from ssnan.evaluation.structure import Structure
from ssnan.labels import LIP, ClassSet
from ssnan.parsing.card import find_card
from ssnan.parsing.parser import Parser


def test_the_sums_over_samples_by_a_loop(color_parser):
    hair = LIP.classes.index("hair")
    samples, structure, instances = [], Structure(LIP), Instances(LIP)
    total = np.zeros((20, 20), dtype=int)
    for name, left in (("a", 8), ("b", 20)):
        image, labels = np.zeros((33, 65, 3), dtype=np.uint8), np.zeros((33, 65), dtype=np.uint8)
        image[4:20, left : left + 16, 0], labels[4:20, left - 3 : left + 10] = 255, hair
        samples.append(Sample(name, image, labels, SLEEVED, (labels > 0).astype(np.uint8)))
        result = color_parser(image)
        total += confusion_matrix(labels, result.labels, LIP)
        structure.add(labels, result.labels, result.confidence, SLEEVED)
        instances.add(labels, samples[-1].instances, result)
    measured = evaluate(color_parser, samples, LIP)
    np.testing.assert_array_equal(measured.confusion, total)
    assert measured.structure.numbers() == structure.numbers()
    assert structure.sides.seen > 0 < structure.numbers()["calibration_error"]
    assert measured.instances.numbers() == instances.numbers()
    assert list(measured.photos) == ["a", "b"]
    np.testing.assert_array_equal(sum(measured.photos.values()), class_counts(total))


def test_the_numbers_of_a_confusion_matrix_by_hand():
    """Four background pixels, one called hair; an arm half of which is on the other side; a set of garments."""
    labels = replace(LIP, sets=(ClassSet(100, (5, 7)),))
    truth = np.array([[0, 0, 0, 0, 14, 14, 15, 15, 100, 100, 100, 100]], dtype=np.uint8)
    predicted = np.array([[0, 0, 0, 2, 14, 15, 15, 15, 5, 7, 7, 0]], dtype=np.uint8)
    confusion = confusion_matrix(truth, predicted, labels)
    photos = {str(i): class_counts(confusion if i < 28 else confusion * 0, labels.sets) for i in range(30)}
    photos["28"][1, 15] = photos["29"][1, 16] = 1  # one photo more of a class, one alone of another
    found = numbers(confusion, labels, photos)
    background, left, right = 3 / 5, 1 / 2, 2 / 3
    assert found["present"]["mean_iou"] == pytest.approx((background + left + right) / 3)
    assert found["all"]["mean_iou"] == pytest.approx((background + left + right + 0) / 4)  # and hair
    assert found["limb_iou"] == pytest.approx((left + right) / 2)
    assert found["frequent_classes"]["classes"] == ["background", "left-arm", "right-arm"]
    assert found["person"]["iou"] == pytest.approx({"background": background, "person": 7 / 9})
    merged = {"background": background, "hair": None, "skin": 1, "clothes": 3 / 4}
    assert found["merged"]["iou"] == pytest.approx(merged)
    assert found["sets"] == {"one of upper-clothes, coat": 3 / 4}


def test_photos_of_nobody_have_no_iou_of_people():
    confusion = confusion_matrix(np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 2]], dtype=np.uint8), LIP)
    found = numbers(confusion, LIP, {"a": class_counts(confusion)})
    for name, other in (("present", "hair"), ("person", "person"), ("merged", "hair")):
        assert (found[name]["iou"][other], found[name]["mean_iou"]) == (None, 3 / 4)


@pytest.mark.parametrize("parts", [True, False])
def test_a_card_has_no_mean_over_classes_of_masks_without_parts(color_parser, tmp_path, parts):
    """The mean would be the IoU of the background alone, which is near 100 %."""
    labels = np.zeros((40, 30), dtype=np.uint8)
    image = np.zeros((40, 30, 3), dtype=np.uint8)
    if parts:
        labels[:20], image[:20, :, 0] = LIP.classes.index("hair"), 255
    confusion, structure, photos, _ = evaluate(color_parser, [Sample("a", image, labels)], LIP)
    (tmp_path / "m.onnx").write_bytes(b"")
    card = replace(find_card("small"), files={"onnxruntime": tmp_path / "m.onnx"}, about={})
    record(card, "own val", numbers(confusion, LIP, photos) | {"structure": structure.numbers()})
    measured = json.loads((tmp_path / "m.json").read_text())["about"]["measured"]["own val"]
    assert ("mean_iou" in measured) == ("mean_iou_merged" in measured) == parts
    assert ("iou_person" in measured) == parts
    assert parts or measured["false_people"] == 0


@pytest.mark.parametrize("without", ["dataset", "model", "neither"])
def test_joints_are_measured_if_the_dataset_or_the_model_has_regions(color_parser, without):
    """Hair is in rows 10 to 19 and found in rows 8 to 19, so that its centre is off by 1 of 39."""
    image, labels = np.zeros((40, 30, 3), dtype=np.uint8), np.zeros((40, 30), dtype=np.uint8)
    image[8:20, :, 0], labels[10:20] = 255, LIP.classes.index("hair")
    bare = replace(LIP, regions=())
    parser = Parser(color_parser.engine, bare if without == "model" else LIP, color_parser.preprocessing)
    structure = evaluate(parser, [Sample("a", image, labels)], bare if without == "dataset" else LIP).structure
    assert structure.missed == 0
    assert structure.offsets == pytest.approx([1 / 39], abs=0.5 / 39)


@pytest.mark.parametrize(("photos", "columns"), [(27, 3), (28, 4)])
def test_the_mean_over_frequent_classes_has_a_column_if_there_are_any(photos, columns):
    truth = np.array([[0, 2]], dtype=np.uint8)
    confusion = photos * confusion_matrix(truth, truth, LIP)
    measured = numbers(confusion, LIP, {str(i): class_counts(confusion) for i in range(photos)})
    first, *_ = tables(measured | {"structure": Structure(LIP).numbers()}, LIP)
    assert len(first.columns) == columns
