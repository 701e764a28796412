import numpy as np
import pytest
from PIL import Image

from experiments.data.evidence import bone_distances
from experiments.data.marks import OTHER, SKIN, Stroke, drawn, read_marks, with_sides
from ssnan.data.keypoints import KEYPOINTS
from ssnan.labels import LIP

LEFT_ARM, RIGHT_ARM = LIP.classes.index("left-arm"), LIP.classes.index("right-arm")


def read(tmp_path, text):
    (tmp_path / "marks.txt").write_text(text)
    return list(read_marks(tmp_path / "marks.txt"))


def test_a_line_is_a_photo(tmp_path):
    [marked] = read(tmp_path, "7_1 | view=front | hat: 1,2 3,4 / 5,6.5 ; other: 9,9 ; skin: 8,8\n8_1 | skip\n")
    assert marked.name == "7_1"
    assert marked.strokes == [
        Stroke(1, [(1, 2), (3, 4)]), Stroke(1, [(5, 6.5)]), Stroke(OTHER, [(9, 9)]), Stroke(SKIN, [(8, 8)]),
    ]  # fmt: skip


@pytest.mark.parametrize("body", ["helmet: 1,2", "hat: 1", "hat: 1,x"])
def test_a_wrong_line_is_named(tmp_path, body):
    with pytest.raises(ValueError, match="line 2 \\(8_1\\)"):
        read(tmp_path, f"7_1 | view=front | hat: 1,2\n8_1 | view=back | {body}\n")


def person():
    """Left arm down the right of the photo, right arm down its left."""
    joints = np.zeros((1, len(KEYPOINTS), 3), dtype=np.float32)
    for name, x, y in (("left-shoulder", 0.8, 0.1), ("left-elbow", 0.8, 0.5), ("left-wrist", 0.8, 0.9),
                       ("right-shoulder", 0.2, 0.1), ("right-elbow", 0.2, 0.5), ("right-wrist", 0.2, 0.9)):  # fmt: skip
        joints[0, KEYPOINTS.index(name)] = x, y, 2
    return joints


def test_distances_are_shares_of_the_person_s_extent():
    far = bone_distances(person(), (100, 100))
    assert far["left-arm"][50, 80] < 0.02
    assert far["left-arm"][50, 20] == pytest.approx(59.5 / 80, abs=0.01)
    assert np.isinf(far["left-leg"]).all()


def test_keypoints_turn_a_stroke_on_the_wrong_side():
    strokes = [Stroke(LEFT_ARM, [(20, 30), (20, 60)]), Stroke(RIGHT_ARM, [(22, 70)]), Stroke(LEFT_ARM, [(50, 50)])]
    sided, judged, turned = with_sides(strokes, person())
    assert [stroke.value for stroke in sided] == [RIGHT_ARM, RIGHT_ARM, LEFT_ARM]
    assert (judged, turned) == (2, 1)


def test_strokes_are_drawn_where_they_say():
    labels = drawn([Stroke(3, [(50, 10), (50, 90)]), Stroke(2, [(10, 50)])], (200, 100))
    assert (labels[20:180, 50] == 3).all()
    assert labels[100, 10] == 2
    assert labels[100, 80] == 254
    assert Image.fromarray(labels).size == (100, 200)


def test_crossed_shoulders_and_hips_are_noticed():
    from experiments.data.athletes import crossed

    person = np.zeros((17, 3), dtype=np.float32)
    person[[5, 6, 11, 12]] = [[0.7, 0.2, 2], [0.3, 0.2, 2], [0.6, 0.6, 2], [0.4, 0.6, 2]]
    assert not crossed(person, (100, 200))
    assert not crossed(person * [-1, 1, 1] + [1, 0, 0], (100, 200))  # seen from the back
    person[[11, 12]] = person[[12, 11]]
    assert crossed(person, (100, 200))
    person[12, 2] = 0
    assert not crossed(person, (100, 200))
