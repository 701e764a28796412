import json
from dataclasses import replace

import numpy as np
import pytest

from ssnan.labels import ATR, LIP, PASCAL_PERSON_PART, LabelSet, Region, label_set_by_name

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_lip_is_the_published_one():
    assert len(LIP) == 20
    assert LIP.classes[13] == "face"
    assert LIP.palette[7] == (0, 119, 221)


@pytest.mark.parametrize("label_set", [LIP, ATR], ids=lambda label_set: label_set.name)
def test_nine_joints_and_their_classes(label_set):
    joints = {region.name: {label_set.classes[i] for i in region.class_ids} for region in label_set.regions}
    limbs = [name for name in label_set.classes if name.startswith(("left-", "right-"))]
    assert joints == {
        "head": {"hat", "hair", "sunglasses", "face"},
        "upper-body": {"upper-clothes", "coat", "scarf"} & {*label_set.classes},
        "lower-body": {"pants", "skirt"},
        **{name: {name} for name in limbs},
    }
    assert len(joints) == 9


@pytest.mark.parametrize("label_set", [LIP, ATR], ids=lambda label_set: label_set.name)
def test_mirroring_swaps_every_left_with_its_right(label_set):
    permutation = label_set.flip_permutation
    for class_id, name in enumerate(label_set.classes):
        other = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert label_set.classes[permutation[class_id]] == other
    np.testing.assert_array_equal(permutation[permutation], np.arange(len(label_set)))
    np.testing.assert_array_equal(PASCAL_PERSON_PART.flip_permutation, np.arange(7))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": (), "palette": ()}, "at least the background as a class, got none"),
        ({"palette": (RED,)}, "one colour for each"),
        ({"classes": ("a", "a")}, "same name"),
        ({"classes": ("a", "top, long")}, "without / .* and commas, got 'top, long'"),
        ({"flip_pairs": ((0, 1), (1, 0))}, "two flip pairs"),
        ({"flip_pairs": ((0, 2),)}, "not in 0..1"),
        ({"regions": (Region("r", (5,)),)}, "not in 0..1"),
        ({"ignore_index": 1}, "from 2 to 255, which is no class id, got 1"),
        ({"ignore_index": 256}, "got 256"),
        ({"table_order": (0, 0)}, "every class once"),
        ({"table_order": (True, 0)}, "integers"),
    ],
)
def test_contradictions_are_refused(wrong, message):
    values = {"name": "n", "classes": ("a", "b"), "palette": (RED, BLUE)} | wrong
    with pytest.raises(ValueError, match=message):
        LabelSet(**values)


def test_labels_agree_if_every_value_means_the_same():
    other = {"classes": (*LIP.classes[:-1], "boot"), "flip_pairs": LIP.flip_pairs[1:], "ignore_index": 200}
    for name, value in other.items():
        different = replace(LIP, **{name: value})
        assert not LIP.agrees_with(different)
        assert LIP.difference(different) in {
            "class 19 is 'right-shoe', not 'boot'", "the ignored value is 255, not 200",
            "pairs [(14, 15), (16, 17), (18, 19)], not [(16, 17), (18, 19)]",
        }  # fmt: skip
    assert LIP.agrees_with(replace(LIP, flip_pairs=LIP.flip_pairs[::-1], regions=(), palette=ATR.palette[:2] * 10))


def test_passes_through_json():
    assert LabelSet.from_dict(json.loads(json.dumps(LIP.to_dict()))) == LIP


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="atr, lip, pascal_person_part"):
        label_set_by_name("cihp")
