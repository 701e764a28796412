from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from fakes.keypoints import people
from fakes.lip import write_lip
from ssnan.data.augmented import Augmented
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.instances import from_keypoints
from ssnan.data.layouts import open_split
from ssnan.data.pasting import PastedScenes, Pasting
from ssnan.data.transforms import geometric
from ssnan.labels import LIP, UNKNOWN_PERSON
from ssnan.parsing.preprocessing import Preprocessing

CLOTHES, PANTS = LIP.classes.index("upper-clothes"), LIP.classes.index("pants")


def standing(x):
    """Keypoints of somebody upright at a share ``x`` of the width."""
    return people(
        nose=(x, 0.1), left_shoulder=(x + 0.05, 0.3), right_shoulder=(x - 0.05, 0.3), left_hip=(x + 0.05, 0.6),
        right_hip=(x - 0.05, 0.6), left_knee=(x + 0.05, 0.75), left_ankle=(x + 0.05, 0.9),
        right_knee=(x - 0.05, 0.75), right_ankle=(x - 0.05, 0.9),
    )  # fmt: skip


def two(gap):
    """Labels of two people, ``gap`` columns apart, and their keypoints."""
    labels = np.zeros((80, 100), dtype=np.uint8)
    labels[4:76, 20:40] = CLOTHES
    labels[4:76, 40 + gap : 60 + gap] = PANTS
    return labels, np.concatenate([standing(0.3), standing(0.5 + gap / 100)])


def test_regions_of_one_person_are_known_and_shared_ones_only_on_the_lines():
    labels, both = two(gap=10)
    labels[40:43] = 0  # a slit across the lines
    labels[76, 40] = CLOTHES  # touches the corner of the first
    found = from_keypoints(both, labels, LIP)
    np.testing.assert_array_equal(found, (labels == CLOTHES) + 2 * (labels == PANTS))
    labels, both = two(gap=0)
    found = from_keypoints(both, labels, LIP)
    assert found[36, 30] == 1
    assert found[36, 50] == 2
    assert found[75, 21] == UNKNOWN_PERSON
    assert not found[labels == 0].any()
    assert set(np.unique(found)) == {0, 1, 2, UNKNOWN_PERSON}


def test_a_region_that_nobody_s_lines_touch_and_ignored_pixels_are_unknown():
    labels, both = two(gap=10)
    labels[:5, 90:] = CLOTHES
    labels[70:, :5] = LIP.ignore_index
    found = from_keypoints(both, labels, LIP)
    assert (found[:5, 90:] == UNKNOWN_PERSON).all()
    assert (found[70:, :5] == UNKNOWN_PERSON).all()
    hidden = both.copy()
    hidden[1, :, 2] = 1  # marked where they are, behind something
    assert (from_keypoints(hidden, labels, LIP)[36, 60] == UNKNOWN_PERSON).all()


def test_where_the_lines_of_two_people_cross_nobody_is_known():
    labels, both = two(gap=10)
    found = from_keypoints(both[[0, 0]], labels, LIP)
    assert (found[labels > 0] == UNKNOWN_PERSON).all()


def test_without_keypoints_only_the_background_is_known():
    labels, both = two(gap=0)
    found = from_keypoints(both[:0], labels, LIP)
    np.testing.assert_array_equal(found, np.where(labels > 0, UNKNOWN_PERSON, 0))


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((60, 80, 3), 40 * number, dtype=np.uint8)).save(folder / f"s{number}.png")
    return folder


def test_pasted_people_are_told_apart(scenes, lip_root):
    pasted = PastedScenes(scenes, [open_split(lip_root, "train")], LIP, most=4)
    counts = set()
    for seed in range(40):
        torch.manual_seed(seed)
        sample = pasted[seed % 3]
        # Nobody is where no label is, and everybody has one.
        np.testing.assert_array_equal(sample.instances > 0, sample.labels > 0)
        counts.add(len(np.unique(sample.instances)) - 1)
    assert {0, 1, 2} <= counts


def test_batches_tell_people_apart_if_asked(scenes, lip_root):
    options = {"crop": (64, 48), "batch_size": 4, "num_workers": 0, "samples_per_epoch": 8}
    pasting = Pasting(scenes, [lip_root], share=3.0)
    data = ParsingData([Source(lip_root, 1.0)], lip_root, pasting=pasting, instances=True, **options)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["instances"].shape == batch["labels"].shape == (4, 64, 48)
    assert not batch["instances"][batch["labels"] == 0].any()
    plain = ParsingData([Source(lip_root, 1.0)], lip_root, pasting=pasting, **options)
    plain.setup("fit")
    assert "instances" not in next(iter(plain.train_dataloader()))


def test_mirroring_moves_people_and_keeps_them_whole(lip_root):
    from torchvision import tv_tensors

    from ssnan.data.transforms import MirrorWithSwap

    numbers = torch.arange(256, dtype=torch.uint8)[None].expand(2, -1)
    mirrored = MirrorWithSwap(LIP, probability=1.0)(tv_tensors.Mask(numbers))
    assert len(mirrored.unique()) == 256
    assert (mirrored[0, -1], mirrored[0, 0]) == (0, UNKNOWN_PERSON)


def test_resident_photos_cannot_tell_people_apart(lip_root):
    with pytest.raises(ValueError, match=r"data\.instances: not supported with data.resident_side"):
        ParsingData([Source(lip_root)], lip_root, instances=True, resident_side=64)


def test_padding_is_nobody_known_whatever_value_is_ignored(tmp_path):
    labels = replace(LIP, ignore_index=200)
    root = write_lip(tmp_path / "lip")
    folder = replace(
        open_split(root, "train"), label_set=labels, read_instances=lambda pair: np.ones((96, 64), np.uint8)
    )
    larger = geometric(labels, (129, 129), (1.0, 1.0), None, 0.0, (0.5, 0.5, 0.5))
    data = Augmented([folder], [(0, 0)], labels, larger, v2.Identity(), Preprocessing(), 0, "stop", True)
    sample = data[0]
    padding = sample["labels"] == 200
    assert padding.sum() == 129 * 129 - 96 * 64
    assert (sample["instances"][padding] == UNKNOWN_PERSON).all()
    assert (sample["instances"][~padding] == 1).all()
