import torch

from ssnan.models.pyramid import at_features


def test_labels_are_read_at_the_pixels_of_the_features():
    """Feature i of a map with stride 8 is on pixel 8 i."""
    labels = torch.arange(33 * 17).view(1, 33, 17)
    torch.testing.assert_close(at_features(labels, 5, 3), labels[:, ::8, ::8])
    assert at_features(labels, 1, 1).tolist() == [[[0]]]
