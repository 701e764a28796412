from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes.keypoints import SLEEVED
from fakes.lip import person
from ssnan.evaluation.structure import BINS, FOUND_SHARE, Structure
from ssnan.labels import LIP, ClassSet
from ssnan.losses import joints

LEFT_ARM, RIGHT_ARM, LEFT_LEG = (LIP.classes.index(name) for name in ("left-arm", "right-arm", "left-leg"))


def measured(truth, predicted, confidence=None, label_set=LIP):
    structure = Structure(label_set)
    structure.add(truth, predicted, confidence)
    return structure.numbers()


def test_a_perfect_map():
    truth = person()[1]
    found = measured(truth, truth)
    assert found["limb_pairs"] > 0
    assert (found["limb_pairs_swapped"], found["label_map_joint_offset"], found["label_map_joints_missed"]) == (0, 0, 0)
    assert found["calibration_error"] is None


def test_sides_swapped_in_every_pair():
    truth = person()[1]
    found = measured(truth, LIP.flip_permutation[truth].astype(np.uint8))
    assert found["limb_pairs_swapped"] == found["limb_pairs"] > 0


def test_a_limb_that_is_half_the_other_side_s_is_not_swapped():
    truth = np.full((1, 10), LEFT_ARM, dtype=np.uint8)
    predicted = truth.copy()
    predicted[0, :5] = RIGHT_ARM
    assert measured(truth, predicted)["limb_pairs_swapped"] == 0
    predicted[0, 5] = RIGHT_ARM
    assert measured(truth, predicted)["limb_pairs_swapped"] == 1
    predicted[0, :6] = LEFT_LEG  # wrong, but not the other side
    assert measured(truth, predicted)["limb_pairs_swapped"] == 0


def test_a_pair_is_swapped_if_one_of_its_limbs_is():
    truth = np.array([[LEFT_ARM] * 4 + [RIGHT_ARM] * 4], dtype=np.uint8)
    found = measured(truth, np.full_like(truth, RIGHT_ARM))
    assert (found["limb_pairs"], found["limb_pairs_swapped"]) == (1, 1)


def test_offsets_by_hand_and_as_the_loss_has_them():
    truth = np.zeros((11, 21), dtype=np.uint8)
    truth[4, 10] = LEFT_ARM
    predicted = np.zeros_like(truth)
    predicted[7, 14] = LEFT_ARM
    found = measured(truth, predicted)
    assert found["label_map_joint_offset"] == pytest.approx(np.hypot(3 / 10, 4 / 20))
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(predicted).long(), 20).movedim(2, 0)[None].float()
    there, known = joints.label_centers(torch.from_numpy(truth).long()[None], LIP)
    soft = joints.soft_centers(one_hot, known, LIP.regions)
    index = [region.name for region in LIP.regions].index("left-arm")
    distance = (soft.position - there.position)[0, index].norm()
    assert found["label_map_joint_offset"] == pytest.approx(float(distance), abs=1e-6)
    assert FOUND_SHARE == joints.FOUND_SHARE


def test_a_joint_with_too_few_pixels_is_missed():
    truth = np.full((1, 30), LEFT_ARM, dtype=np.uint8)
    predicted = np.zeros_like(truth)
    predicted[0, :2] = LEFT_ARM
    assert measured(truth, predicted)["label_map_joints_missed"] == 1
    predicted[0, 2] = LEFT_ARM
    assert measured(truth, predicted)["label_map_joints_missed"] == 0


def test_pixels_of_which_nobody_said_what_they_are_move_no_joint():
    labels = replace(LIP, sets=(ClassSet(100, tuple(range(1, 20))), ClassSet(101, (2, 13))))
    truth = np.zeros((5, 9), dtype=np.uint8)
    truth[2, 2], truth[2, 4], truth[4, 8] = 13, 101, 100  # face; hair or face, both of the head; somebody
    predicted = np.zeros_like(truth)
    predicted[2, 2] = predicted[2, 4] = predicted[4, 8] = 13
    found = measured(truth, predicted, label_set=labels)
    assert (found["label_map_joint_offset"], found["label_map_joints_missed"]) == (0, 0)


def test_the_sums_of_two_halves_are_those_of_the_whole():
    """As the processes of a training each measure a share of the photos."""
    random, truth = np.random.default_rng(0), person()[1]
    halves, whole = [Structure(LIP), Structure(LIP)], Structure(LIP)
    for half, labels in zip(halves, (truth, truth * 0), strict=True):
        predicted = np.where(random.random(truth.shape) < 0.4, LIP.flip_permutation[truth], truth).astype(np.uint8)
        confidence = random.random(truth.shape, dtype=np.float32)
        for structure in (half, whole):
            structure.add(labels, predicted, confidence, SLEEVED)
    assert sum(halves, Structure(LIP)).numbers() == pytest.approx(whole.numbers())
    assert sum(halves[::-1], Structure(LIP)).numbers() == pytest.approx(whole.numbers())


def test_calibration_by_hand():
    truth = np.array([[0, 0, 0, 0, 1, 1, 255]], dtype=np.uint8)
    predicted = np.array([[0, 0, 1, 1, 1, 1, 1]], dtype=np.uint8)
    confidence = np.array([[0.95, 1.0, 0.95, 0.95, 0.92, 0.5, 0.99]], dtype=np.float32)
    # Four pixels of the last bin, two of them right; one of the bin before and one of another, right; the last does
    # not count.
    expected = (abs(2 - 3.85) + abs(1 - 0.92) + abs(1 - 0.5)) / 6
    assert measured(truth, predicted, confidence)["calibration_error"] == pytest.approx(expected, abs=1e-6)


def test_confidence_that_is_earned_is_no_error():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.05, 1, (400, 400)).astype(np.float32)
    truth = np.ones((400, 400), dtype=np.uint8)
    predicted = np.where(random.random((400, 400)) < confidence, truth, 0).astype(np.uint8)
    assert measured(truth, predicted, confidence)["calibration_error"] < 0.01
    assert measured(truth, predicted, np.full_like(confidence, 1.0))["calibration_error"] > 0.4
    assert BINS == 15
