import numpy as np
import pytest

from ssnan.data.folder import NOBODY
from ssnan.data.keypoints import KEYPOINTS
from ssnan.evaluation.sides import SideCounts, count_sides
from ssnan.evaluation.structure import Structure
from ssnan.labels import LIP, PASCAL_PERSON_PART

ID = {name: number for number, name in enumerate(LIP.classes)}


def standing(visible=2):
    """Left wrist at the right of a photo of 4 × 8, right wrist at its left, an ankle below each; a nose above."""
    joints = np.zeros((1, len(KEYPOINTS), 3), dtype=np.float32)
    for name, x, y in (("left-wrist", 0.9, 0.3), ("right-wrist", 0.1, 0.3), ("left-ankle", 0.9, 0.9),
                       ("right-ankle", 0.1, 0.9), ("nose", 0.5, 0.1)):  # fmt: skip
        joints[0, KEYPOINTS.index(name)] = x, y, visible
    return joints


def predicted(left_wrist, right_wrist, left_ankle, right_ankle):
    labels = np.zeros((4, 8), dtype=np.uint8)
    labels[1, 7], labels[1, 0], labels[3, 7], labels[3, 0] = (
        ID[name] for name in (left_wrist, right_wrist, left_ankle, right_ankle)
    )
    return labels


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("left-arm", "right-arm", "left-shoe", "right-leg"), (4, 4, 4, 4)),
        (("right-arm", "left-arm", "right-shoe", "left-leg"), (4, 4, 4, 0)),
        (("coat", "background", "pants", "right-shoe"), (4, 3, 1, 1)),
        (("left-leg", "left-shoe", "left-arm", "right-arm"), (4, 4, 0, 0)),
    ],
)
def test_counts_by_hand(names, expected):
    assert count_sides(predicted(*names), standing(), LIP) == expected


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("kind", "parts"),
    [("elbow", ["arm"]), ("wrist", ["arm"]), ("knee", ["leg", "shoe"]), ("ankle", ["leg", "shoe"]), ("hip", None)],
)
def test_every_joint_has_its_parts(side, kind, parts):
    there = np.zeros((1, len(KEYPOINTS), 3), dtype=np.float32)
    there[0, KEYPOINTS.index(f"{side}-{kind}")] = 0.5, 0.5, 2
    for part in ("arm", "leg", "shoe"):
        found = count_sides(np.full((3, 5), ID[f"{side}-{part}"], dtype=np.uint8), there, LIP)
        assert found == ((0, 0, 0, 0) if parts is None else (1, 1, part in parts, part in parts))


@pytest.mark.parametrize(("place", "seen"), [((0, 0), 1), ((1, 0.5), 0), ((0.5, 1), 0)])
def test_the_first_row_and_column_are_in_the_photo(place, seen):
    there = np.zeros((1, len(KEYPOINTS), 3), dtype=np.float32)
    there[0, KEYPOINTS.index("left-wrist")] = *place, 2
    assert count_sides(np.zeros((4, 8), dtype=np.uint8), there, LIP).seen == seen


def test_hidden_joints_others_and_joints_outside_do_not_count():
    labels = predicted("left-arm", "right-arm", "left-shoe", "right-shoe")
    assert count_sides(labels, standing(visible=1), LIP) == SideCounts()
    assert count_sides(labels, NOBODY, LIP) == SideCounts()
    outside = standing()
    outside[0, :, 0] += 1
    assert count_sides(labels, outside, LIP) == SideCounts()
    assert count_sides(labels, np.concatenate([standing(visible=0), standing()]), LIP) == SideCounts()


def test_the_structure_of_a_dataset_tells_shares():
    structure = Structure(LIP)
    truth = np.ones((4, 8), dtype=np.uint8)
    structure.add(truth, predicted("left-arm", "left-arm", "left-shoe", "background"), None, standing())
    structure += Structure(LIP)
    found = structure.numbers()
    assert found["keypoints_on_person"] == 3 / 4
    assert found["keypoints_on_limb"] == 3 / 4
    assert found["sides_right"] == 2 / 3
    assert (found["photos_without_people"], found["false_people"]) == (0, None)


def test_people_seen_where_nobody_is():
    structure = Structure(LIP)
    nobody = np.zeros((10, 10), dtype=np.uint8)
    few, many = nobody.copy(), nobody.copy()
    few[0, :2], many[0, :3] = ID["face"], ID["coat"]
    for labels in (nobody, few, many):
        structure.add(nobody, labels)
    found = structure.numbers()
    assert (found["photos_without_people"], found["false_people"]) == (3, 1 / 3)
    assert found["sides_right"] is None


def test_a_label_set_without_sides_has_no_share_of_limbs():
    structure = Structure(PASCAL_PERSON_PART)
    truth = np.ones((4, 8), dtype=np.uint8)
    structure.add(truth, truth, None, standing())
    found = structure.numbers()
    assert found["keypoints_on_person"] == 1
    assert (found["keypoints_on_limb"], found["sides_right"]) == (None, None)
