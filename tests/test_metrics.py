import numpy as np
import pytest

from ssnan.labels import LIP, PASCAL_PERSON_PART
from ssnan.metrics import Score, confusion_matrix, merge_lip


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


def test_hand_computed():
    # truth: 3 × class 0, 1 × class 1; one pixel of class 0 is called 2.
    truth = np.array([[0, 0], [0, 1]], dtype=np.uint8)
    predicted = np.array([[0, 0], [2, 1]], dtype=np.uint8)
    confusion = confusion_matrix(truth, predicted, PASCAL_PERSON_PART)
    assert Score.of(confusion).mean_iou == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert Score.of_present(confusion).mean_iou == pytest.approx((2 / 3 + 1) / 2)
    assert Score.of(confusion).mean_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert Score.of(confusion).overall_accuracy == pytest.approx(3 / 4)


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
    merged = merge_lip(confusion_matrix(truth, predicted, LIP))
    direct = np.zeros((4, 4), dtype=int)
    np.add.at(direct, (relabel[truth], relabel[predicted]), 1)
    np.testing.assert_array_equal(merged, direct)
