import numpy as np
import pytest

from ssnan.labels import LIP
from ssnan.parsing.result import ParsingResult

FACE, LEFT_ARM = 13, 14


@pytest.fixture
def result():
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[2:4, 5:9] = FACE
    labels[6, 10:13] = LEFT_ARM
    return ParsingResult(labels, LIP)


def test_parts_boxes_and_centres(result):
    face = result.as_dict()["parts"]["face"]
    assert face == {"id": FACE, "area": 8, "box": [5, 2, 9, 4], "center": [2.5, 6.5]}
    assert result.areas == {"background": 189, "face": 8, "left-arm": 3}


def test_joints_equal_a_loop_over_pixels(result):
    assert result.joints["head"] == (2.5, 6.5)
    assert result.joints["left-arm"] == (6.0, 11.0)
    assert result.joints["right-arm"] is None
    assert len(result.joints) == 9


def test_masks(result):
    assert result.mask("face", "left-arm").sum() == 11
    with pytest.raises(ValueError, match="left-arm"):
        result.mask("arm")


def test_round_trip_through_its_file(result, tmp_path):
    result.save(tmp_path / "r.png")
    again = ParsingResult.from_png(tmp_path / "r.png", LIP)
    np.testing.assert_array_equal(again.labels, result.labels)
    colors = np.array(result.as_image().convert("RGB"))
    assert colors[2, 5].tolist() == [0, 0, 255]
    with pytest.raises(ValueError, match="no confidence"):
        _ = again.confidence
