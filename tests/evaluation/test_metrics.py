from dataclasses import replace

import numpy as np
import pytest

from ssnan.evaluation.metrics import (
    LIP_GROUPS,
    Score,
    class_counts,
    confusion_matrix,
    frequent_classes,
    iou_of,
    merged,
    person_groups,
)
from ssnan.labels import LIP, PASCAL_PERSON_PART, ClassSet


def brute_force(truth, predicted, count):
    """Pixel by pixel and class by class, as Section 4.1 writes the metrics."""
    n = [[0] * count for _ in range(count)]
    for t, p in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if t != 255:
            n[t][p] += 1
    present = [i for i in range(count) if sum(n[i])]
    total = sum(map(sum, n))
    overall = sum(n[i][i] for i in range(count)) / total
    accuracy = sum(n[i][i] / sum(n[i]) for i in present) / len(present)
    iou = [n[i][i] / (sum(n[i]) + sum(n[j][i] for j in range(count)) - n[i][i]) for i in present]
    return overall, accuracy, sum(iou) / len(iou)


def test_equals_brute_force():
    random = np.random.default_rng(0)
    truth = random.choice([0, 1, 2, 4, 255], (30, 40)).astype(np.uint8)
    predicted = np.where(random.random((30, 40)) < 0.6, truth, random.integers(0, 7, (30, 40))).astype(np.uint8)
    predicted[predicted == 255] = 3
    score = Score.of_present(confusion_matrix(truth, predicted, PASCAL_PERSON_PART))
    expected = brute_force(truth, predicted, 7)
    np.testing.assert_allclose((score.overall_accuracy, score.mean_accuracy, score.mean_iou), expected)


def test_frequent_classes_are_counted_in_photos():
    def counts(*classes):
        return [[0] * 7, [int(i in classes) for i in range(7)], [9] * 7]

    photos = {f"plain_{i}": counts(0, 1, 2) for i in range(27)} | {"more": counts(0, 1)}
    assert frequent_classes(photos, PASCAL_PERSON_PART) == ["background", "head"]
    # Another version of a photo is no other photo.
    photos |= {"turned_3": counts(2), "part_3": counts(2)}
    assert "torso" not in frequent_classes(photos, PASCAL_PERSON_PART)
    # Without the plain photo, this is a photo of its own.
    photos["part_27"] = counts(2)
    assert frequent_classes(photos, PASCAL_PERSON_PART) == ["background", "head", "torso"]


def test_hand_computed():
    # truth: 3 × class 0, 1 × class 1; one pixel of class 0 is called 2.
    truth = np.array([[0, 0], [0, 1]], dtype=np.uint8)
    predicted = np.array([[0, 0], [2, 1]], dtype=np.uint8)
    confusion = confusion_matrix(truth, predicted, PASCAL_PERSON_PART)
    assert Score.of(confusion).mean_iou == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert Score.of_present(confusion).mean_iou == pytest.approx((2 / 3 + 1) / 2)
    assert Score.of(confusion).mean_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert Score.of(confusion).overall_accuracy == pytest.approx(3 / 4)
    # A class that the truth lacks has no IoU here.
    np.testing.assert_allclose(iou_of(class_counts(confusion)), [2 / 3, 1, *[np.nan] * 5])


def test_no_pixels_have_no_score():
    score = Score.of(np.zeros((7, 7), dtype=np.int64))
    assert np.isnan([score.overall_accuracy, score.mean_accuracy, score.mean_iou]).all()


def test_ignored_pixels_do_not_count():
    truth = np.array([[0, 255]], dtype=np.uint8)
    assert confusion_matrix(truth, np.array([[0, 5]], dtype=np.uint8), PASCAL_PERSON_PART).sum() == 1


def test_foreign_ids_and_shapes_are_refused():
    nine = np.full((2, 2), 9, dtype=np.uint8)
    with pytest.raises(ValueError, match="label id 9"):
        confusion_matrix(nine, nine * 0, PASCAL_PERSON_PART)
    with pytest.raises(ValueError, match="one shape"):
        confusion_matrix(nine, nine[:1], PASCAL_PERSON_PART)


def test_merging_equals_relabelling():
    random = np.random.default_rng(1)
    truth, predicted = random.integers(0, 20, (2, 50, 50)).astype(np.uint8)
    names = {"background": 0, "hair": 1, "face": 2}
    relabel = np.array([names.get(c, 2 if c.endswith(("-arm", "-leg")) else 3) for c in LIP.classes], dtype=np.uint8)
    found = merged(confusion_matrix(truth, predicted, LIP), LIP_GROUPS)
    direct = np.zeros((4, 4), dtype=int)
    np.add.at(direct, (relabel[truth], relabel[predicted]), 1)
    np.testing.assert_array_equal(found, direct)


SETS = (ClassSet(100, (1, 2)), ClassSet(101, (0, 3)))


def test_sets_by_hand():
    labels = replace(PASCAL_PERSON_PART, sets=SETS)
    # Of four pixels that are 1 or 2, one is called 3; of two that are 0 or 3, one is called 1.
    truth = np.array([[0, 1, 1, 100, 100, 100, 100, 101, 101]], dtype=np.uint8)
    predicted = np.array([[0, 1, 2, 1, 1, 2, 3, 1, 0]], dtype=np.uint8)
    confusion = confusion_matrix(truth, predicted, labels)
    assert confusion.shape == (9, 7)
    score = Score.of_present(confusion, SETS)
    assert score.overall_accuracy == pytest.approx(6 / 9)  # all but 1 → 2, 100 → 3 and 101 → 1
    assert score.iou[0] == 1
    assert score.iou[1] == pytest.approx(1 / 3)  # one hit, one miss, and the 101 that surely is none
    assert score.mean_accuracy == pytest.approx((1 + 1 / 2) / 2)


def test_a_set_within_one_group_becomes_certain():
    labels = replace(PASCAL_PERSON_PART, sets=SETS)
    truth = np.array([[0, 100, 100, 101]], dtype=np.uint8)
    predicted = np.array([[0, 5, 0, 0]], dtype=np.uint8)
    found = merged(confusion_matrix(truth, predicted, labels), person_groups(labels), SETS)
    assert found.tolist() == [[1, 0], [1, 1]]  # 101 may be person or not and is left out


def test_a_set_of_one_row_equals_its_brute_force():
    random = np.random.default_rng(3)
    truth = random.choice([0, 1, 2, 3, 100, 101, 255], 3000).astype(np.uint8)[None]
    predicted = random.integers(0, 7, (1, 3000)).astype(np.uint8)
    score = Score.of(confusion_matrix(truth, predicted, replace(PASCAL_PERSON_PART, sets=SETS)), SETS)
    may = {**{c: {c} for c in range(7)}, 100: {1, 2}, 101: {0, 3}}
    right, total = 0, 0
    hits, misses, false = np.zeros((3, 7))
    for t, p in zip(truth[0].tolist(), predicted[0].tolist(), strict=True):
        if t == 255:
            continue
        total += 1
        right += p in may[t]
        hits[p] += t == p
        false[p] += p not in may[t]
        if t < 7:
            misses[t] += t != p
    assert score.overall_accuracy == pytest.approx(right / total)
    np.testing.assert_allclose(score.iou, hits / (hits + misses + false))
