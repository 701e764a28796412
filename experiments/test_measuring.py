import numpy as np
import torch

from experiments.measuring import Measured, Photos, frequent, photo_of, right_sides
from fakes.keypoints import people
from fakes.lip import person
from ssnan.data.folder import Sample
from ssnan.labels import LIP
from ssnan.models import ParsingOutput
from ssnan.parsing.preprocessing import Preprocessing

CPU = torch.device("cpu")


class LeftIsLeft(torch.nn.Module):
    """Calls the left half of a photo left-arm and the right half right-arm, and notes what it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        count, _, height, width = images.shape
        self.seen.append((count, height, width))
        scores = torch.zeros(count, 20, height, width)
        scores[:, 14, :, : width // 2] = scores[:, 15, :, width // 2 :] = 1
        return ParsingOutput(scores)


def samples():
    joints = people(left_wrist=(0.2, 0.5), right_elbow=(0.8, 0.5), left_knee=(0.2, 0.9), right_wrist=(0.1, 0.5))
    sizes = ((96, 64), (64, 64), (96, 64))
    return [
        (Sample(f"p{number}", *person(*size, shift=number), joints if number else people()), LIP)
        for number, size in enumerate(sizes)
    ]


def test_photos_of_one_size_go_together_and_counts_keep_the_order():
    network, chosen = LeftIsLeft(), samples()
    photos = Photos(chosen, Preprocessing(longest_side=97), CPU)
    measured = photos.measured(network)
    assert sorted(network.seen) == [(1, 97, 97), (2, 97, 65)]
    for (sample, _), pixels in zip(chosen, measured.pixels, strict=True):
        assert pixels[1].tolist() == np.bincount(sample.labels.ravel(), minlength=20).tolist()
    # Of four joints one is no arm; of three on an arm, two are on their own side.
    assert measured.sides[:, 0].tolist() == [[0, 0, 0, 0], [4, 4, 3, 2], [4, 4, 3, 2]]
    assert right_sides(measured.sides.sum(axis=0)).item() == 100 * 4 / 6


def test_another_scale_changes_the_input_and_not_the_size_of_the_result():
    network = LeftIsLeft()
    measured = Photos(samples()[:1], Preprocessing(longest_side=97), CPU, scale=2.0).measured(network)
    assert network.seen == [(1, 193, 129)]
    assert measured.pixels[0, 1].sum() == 96 * 64


def test_counts_are_read_as_they_were_written(tmp_path):
    measured = Photos(samples(), Preprocessing(longest_side=33), CPU).measured(LeftIsLeft())
    measured.save(tmp_path / "new" / "one.npz")
    read = Measured.read(tmp_path / "new" / "one.npz")
    assert all(np.array_equal(one, other) for one, other in zip(measured, read, strict=True))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.npz"]


def test_crops_of_one_photo_share_it():
    names = ("104097_469401", "104097_900100104097", "ccp_0002", "0002", "2_a")
    assert [*map(photo_of, names)] == ["104097", "104097", "ccp_0002", "0002", "2_a"]


def test_frequent_classes_by_hand():
    pixels = np.zeros((30, 3, 3), dtype=int)
    pixels[:28, 1, 0], pixels[:27, 1, 1] = 5, 9
    assert frequent(pixels) == [0]
