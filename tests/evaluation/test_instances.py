import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fakes.crowds import crowd, write_cihp, write_coco
from ssnan.commands import evaluate, main
from ssnan.evaluation.instances import Instances, Pairs, average_precision, instances_table, matched
from ssnan.labels import LIP, UNKNOWN_PERSON
from ssnan.results.result import ParsingResult


def pairs(scores, iou):
    return Pairs(np.array(scores, dtype=float), np.array(iou, dtype=float).reshape(len(scores), -1))


def measured(*photos):
    found = Instances(LIP)
    for labels, people, result in photos:
        found.add(labels, people, result)
    return found.numbers()


def perfect(count, shift=0):
    _, labels, people = crowd(count, shift)
    return labels, people, ParsingResult(labels, LIP, instances=people)


def test_each_takes_the_best_that_is_free_in_the_order_of_scores():
    one = pairs([0.5, 0.9, 0.8], [[0.9, 0.6], [0.7, 0.2], [0.8, 0.55]])
    assert matched(one, 0.5).tolist() == [-1, 0, 1]
    assert matched(one, 0.6).tolist() == [1, 0, -1]
    assert matched(pairs([0.5], [[]]), 0.5).tolist() == [-1]


def test_average_precision_by_hand():
    # Sorted by score: right, wrong, right; one of three true ones stays unfound.
    photos = [pairs([0.9, 0.8], [[0.9, 0], [0.1, 0]]), pairs([0.7], [[0.6]])]
    assert average_precision(photos, 0.5) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision(photos, 0.7) == pytest.approx(1 / 3)
    # Wrong, right, right: the precision of two thirds holds for less recall too.
    assert average_precision([pairs([0.9, 0.8, 0.7], [[0, 0], [0.9, 0], [0, 0.9]])], 0.5) == pytest.approx(2 / 3)
    assert average_precision([pairs([0.5], [[]])], 0.5) is None


def test_average_precision_is_that_of_coco():
    """COCO samples the curve at 101 points, so the areas differ a little."""
    rng = np.random.default_rng(1)
    truth, found, photos, number = [], [], [], 0
    for image in range(150):
        people = [(x, 10 + 8 * x % 50) for x in rng.integers(0, 60, rng.integers(1, 5))]
        masks = [(left, left + size) for left, size in people]
        guesses = [(left + rng.integers(-6, 7), right + rng.integers(-6, 7)) for left, right in masks[:3]]
        scores = rng.random(len(guesses)).tolist()
        iou = [[_overlap(guess, mask) for mask in masks] for guess in guesses]
        photos.append(pairs(scores, iou))
        for left, right in masks:
            number += 1
            width = int(right - left)
            truth.append({"id": number, "image_id": image, "category_id": 1, "bbox": [int(left), 0, width, 10],
                          "area": 10 * width, "iscrowd": 0})  # fmt: skip
        found += [
            {"image_id": image, "category_id": 1, "bbox": [float(a), 0, float(b - a), 10], "score": score}
            for (a, b), score in zip(guesses, scores, strict=True)
        ]
    coco = COCO()
    coco.dataset = {"images": [{"id": i} for i in range(150)], "annotations": truth, "categories": [{"id": 1}]}
    coco.createIndex()
    judge = COCOeval(coco, coco.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    thresholds = [0.5 + 0.05 * step for step in range(10)]
    mean = np.mean([average_precision(photos, threshold) for threshold in thresholds])
    assert mean == pytest.approx(judge.stats[0], abs=0.01)
    assert 0.2 < mean < 0.9


def _overlap(one, other):
    both = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return both / (one[1] - one[0] + other[1] - other[0] - both)


def test_a_perfect_map_has_all_points():
    numbers = measured(perfect(1), perfect(3, 1))
    assert numbers["people"] == 4
    assert all(value == 1 for name, value in numbers.items() if name != "people")
    assert instances_table(numbers).row_count == 1


def test_two_people_taken_for_one_are_found_once_at_most():
    labels, people, _ = perfect(2)
    numbers = measured((labels, people, ParsingResult(labels, LIP, instances=(people > 0).astype(np.uint8))))
    assert numbers["ap_50"] == pytest.approx(0.5)  # half of its pixels are those of either
    assert numbers["ap"] == pytest.approx(0.05)
    assert numbers["right_count"] == 0
    assert numbers["ap_r_50"] == pytest.approx(0.5)
    assert numbers["ap_r"] == pytest.approx(0.5 * 5 / 9)  # up to a threshold of .5
    assert numbers["pcp_50"] == pytest.approx(0)  # an IoU of one half does not exceed one half


def test_the_surer_ones_come_first():
    """A person where nobody is costs nothing after all that are there, however large; no more do its parts."""
    people = np.zeros((20, 40), dtype=np.uint8)
    people[:, :20], people[:, 26:36] = 1, 2
    labels = np.where(people > 0, 5, 0).astype(np.uint8)
    for sure, expected in ((2, 1), (1, 0.5)):
        scores = np.zeros((20, 20, 40), dtype=np.float32)
        scores[0], scores[5, people > 0], scores[5, people == sure] = 3, 4, 6
        truth = np.where(people == 2, 5, 0).astype(np.uint8)
        found = measured((truth, (people == 2).astype(np.uint8), ParsingResult(labels, LIP, scores, instances=people)))
        assert found["ap_50"] == found["ap_r_50"] == pytest.approx(expected)


def test_a_person_cut_in_two_costs_precision_and_recall():
    labels, people, _ = perfect(1)
    halves = people * (1 + (np.indices(labels.shape)[0] > 52)).astype(np.uint8)
    numbers = measured((labels, people, ParsingResult(labels, LIP, instances=halves)))
    assert 0 <= numbers["ap_50"] <= 1
    assert numbers["ap"] < 0.7
    assert numbers["ap_r_50"] > 0.9  # almost every part is whole


def test_wrong_parts_of_right_people_cost_parts_alone():
    labels, people, _ = perfect(2)
    face, hair = LIP.classes.index("face"), LIP.classes.index("hair")
    wrong = np.where(labels == face, hair, labels).astype(np.uint8)
    numbers = measured((labels, people, ParsingResult(wrong, LIP, instances=people)))
    assert numbers["ap"] == 1
    assert numbers["ap_r_50"] == pytest.approx(6 / 8)  # no face, and hair twice as large
    assert numbers["pcp_50"] == pytest.approx(6 / 8)
    assert numbers["ap_p_50"] == 1


def test_background_is_no_part_of_a_person_whose_map_covers_it():
    labels, people, _ = perfect(1)
    wide = np.where(people + np.roll(people, 8, axis=0) > 0, 1, 0).astype(np.uint8)
    numbers = measured((labels, wide, ParsingResult(labels, LIP, instances=people)))
    assert numbers["ap"] < 1
    assert numbers["ap_p"] == numbers["pcp_50"] == 1


def test_unknown_pixels_do_not_count():
    labels, people, result = perfect(2)
    extra = np.zeros_like(people)
    extra[:, :10] = 1
    result = ParsingResult(np.where(extra, 5, labels).astype(np.uint8), LIP, instances=np.where(extra, 1, people))
    unknown = np.where(extra > 0, UNKNOWN_PERSON, people).astype(np.uint8)
    assert measured((labels, people, result))["ap"] < 1
    numbers = measured((labels, unknown, result))
    assert all(value == 1 for name, value in numbers.items() if name != "people")


def test_somebody_found_in_a_crowd_does_not_count():
    labels, people, result = perfect(3)
    crowded = np.where(people == 3, UNKNOWN_PERSON, people).astype(np.uint8)
    numbers = measured((labels, crowded, result))
    assert (numbers["people"], numbers["ap"], numbers["right_count"]) == (2, 1, 1)


def test_masks_without_parts_measure_people_alone():
    labels, people, result = perfect(2)
    numbers = measured((np.where(labels > 0, 100, 0).astype(np.uint8), people, result))
    assert numbers["ap"] == 1
    assert all(numbers[name] is None for name in ("ap_r_50", "ap_r", "ap_p_50", "ap_p", "pcp_50"))


def test_nobody_to_find_and_somebody_found():
    nobody = np.zeros((20, 20), dtype=np.uint8)
    numbers = measured((nobody, nobody, ParsingResult(nobody, LIP)))
    assert (numbers["people"], numbers["right_count"], numbers["ap"]) == (0, 1, None)
    labels, people, result = perfect(1)
    somewhere = (np.zeros_like(labels), np.zeros_like(people), result)
    assert measured(somewhere)["right_count"] == 0
    assert measured(somewhere, perfect(1))["ap_50"] == pytest.approx(0.5)


def test_evaluate_reports_people_where_they_are_told_apart(tmp_path, monkeypatch, color_parser, capsys):
    monkeypatch.setattr(evaluate, "load_parser", lambda options: color_parser)
    file = tmp_path / "numbers.json"
    assert main(["evaluate", "--data", str(write_cihp(tmp_path / "cihp")), "--json", str(file)]) == 0
    assert "6 people told apart" in capsys.readouterr().out
    assert json.loads(file.read_text())["instances"]["people"] == 6


def test_evaluate_says_that_coco_has_no_parts(tmp_path, monkeypatch, color_parser, capsys):
    monkeypatch.setattr(evaluate, "load_parser", lambda options: color_parser)
    root = write_coco(tmp_path / "coco")
    assert main(["evaluate", "--data", str(root)]) == 0
    out = capsys.readouterr().out
    assert "5 people told apart" in out
    assert "the masks have no parts" in " ".join(out.split())
    assert "IoU of each class" not in out
    (root / "annotations" / "instances_val2017.json").write_text("{")
    assert main(["evaluate", "--data", str(root)]) == 1
    assert "instances_val2017.json: not JSON" in " ".join(capsys.readouterr().err.split())
