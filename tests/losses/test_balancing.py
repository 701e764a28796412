import numpy as np
import pytest

from ssnan.losses import median_frequency_weights

# Three masks, four classes. Class 0 is 80 of the 110 pixels of the masks that hold it, and so on.
PIXELS = np.array([[60, 40, 0, 0], [0, 10, 0, 0], [20, 0, 0, 10]])[:, [0, 1, 3, 2]]


def test_by_hand():
    frequency = [80 / 130, 50 / 110, 10 / 30]
    expected = np.median(frequency) / np.array([*frequency, 50 / 110])
    expected[3] = 1
    np.testing.assert_allclose(median_frequency_weights(PIXELS), expected)
    np.testing.assert_allclose(median_frequency_weights(PIXELS, 0.5), np.sqrt(expected))


def test_rarer_weighs_more_and_the_absent_one_does_not_blow_up():
    weights = median_frequency_weights(PIXELS)
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] == pytest.approx(1)
