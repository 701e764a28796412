import pytest
import torch

from ssnan.models.pyramid import at_features, resized


@pytest.mark.parametrize(
    ("side", "scale", "expected"),
    [(321, 0.75, 241), (321, 0.5, 161), (66, 0.5, 34), (65, 1.25, 81), (63, 0.75, 48), (64, 0.75, 48), (34, 0.7, 24)],
)
def test_a_scale_keeps_the_distance_of_the_first_and_last_pixel(side, scale, expected):
    """(side − 1) · scale + 1, rounded: halves and fractions too."""
    assert resized(torch.zeros(1, 3, side, 9), scale).shape[2] == expected
    assert resized(torch.zeros(1, 3, 9, side), scale).shape[3] == expected


def test_labels_are_read_at_the_pixels_of_the_features():
    """Feature i of a map with stride 8 is on pixel 8 i."""
    labels = torch.arange(33 * 17).view(1, 33, 17)
    torch.testing.assert_close(at_features(labels, 5, 3), labels[:, ::8, ::8])
    assert at_features(labels, 1, 1).tolist() == [[[0]]]
