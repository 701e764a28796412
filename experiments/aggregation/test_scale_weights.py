import numpy as np
import pytest

from experiments.aggregation import scale_weights


def test_means_by_class_and_by_size_by_hand():
    labels = np.zeros((10, 100), dtype=np.uint8)
    labels[0, 0] = 1  # one pixel of a thousand
    labels[5:, :40] = 1  # two hundred
    labels[2, 50:60] = 2  # ten
    labels[9, 99] = 255
    weights = np.zeros((2, 10, 100), dtype=np.float32)
    weights[0] = 0.25
    weights[0, 0, 0] = 1.0
    weights[0, 2, 50:55] = 0.75
    weights[1] = 1 - weights[0]
    found = scale_weights.mean_weights([weights], [labels], ("nobody", "coat", "hat"))
    assert list(found) == ["nobody", "coat", "hat", "below 0.1 %", "0.1 to 1 %", "above 10 %"]
    assert {row: pixels for row, (_, pixels) in found.items()} == {
        "nobody": 1000 - 201 - 10 - 1, "coat": 201, "hat": 10, "below 0.1 %": 1, "0.1 to 1 %": 10, "above 10 %": 200,
    }  # fmt: skip
    assert found["coat"][0][0] == pytest.approx((1 + 200 * 0.25) / 201)
    assert found["hat"][0] == pytest.approx([0.5, 0.5])
    assert found["below 0.1 %"][0] == pytest.approx([1, 0])
    assert found["above 10 %"][0] == pytest.approx([0.25, 0.75])
