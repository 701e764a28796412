from fractions import Fraction

import av
import numpy as np
import pytest

from ssnan.parsing import frames


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ((1, 0, 0, 1), lambda rgb: rgb),
        ((0, 1, -1, 0), lambda rgb: np.rot90(rgb, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, -1), lambda rgb: rgb[::-1, ::-1]),
        ((-1, 0, 0, 1), lambda rgb: rgb[:, ::-1]),
        ((0, 1, 1, 0), lambda rgb: rgb.transpose(1, 0, 2)),
    ],
)
def test_frames_are_turned_and_mirrored_as_their_matrix_asks(turn, expected):
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    matrix = np.array([[*turn[:2], 0], [*turn[2:], 0], [0, 0, 1]], dtype=np.int32)
    np.testing.assert_array_equal(frames._upright(rgb, matrix), expected(rgb))


def test_pixels_become_square():
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), "rgb24")
    assert frames._square(frame, Fraction(2)).shape == (48, 128, 3)
    assert frames._square(frame, Fraction(1, 2)).shape == (96, 64, 3)
    assert frames._square(frame, None).shape == (48, 64, 3)
