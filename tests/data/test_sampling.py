import numpy as np
import pytest
from PIL import Image

from fakes.lip import write_lip
from ssnan.data.datamodule import ParsingData, Source
from ssnan.data.layouts import open_split
from ssnan.data.sampling import classes_held, repeat_factors
from ssnan.io.opening import ImageError
from ssnan.labels import LIP


def test_factors_by_hand():
    # Class 0 is in all four photos, class 1 in one, class 2 in none, class 3 in two.
    held = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]], dtype=bool)
    np.testing.assert_allclose(repeat_factors(held, 0.5), [np.sqrt(2), 1, 1, 1])
    np.testing.assert_allclose(repeat_factors(held, 1.0), [2, np.sqrt(2), np.sqrt(2), 1])
    np.testing.assert_allclose(repeat_factors(held, 0.1), 1)


@pytest.fixture
def one_with_gloves(tmp_path):
    root = write_lip(tmp_path / "lip", train=9)
    mask = open_split(root, "train").pairs[3].mask
    labels = np.array(Image.open(mask))
    labels[:4, :4] = LIP.classes.index("gloves")
    Image.fromarray(labels).save(mask)
    return root


def test_classes_are_read_from_the_masks(one_with_gloves):
    held = classes_held(open_split(one_with_gloves, "train"))
    assert held.shape == (9, 20)
    assert held[:, 0].all()
    assert np.flatnonzero(held[:, LIP.classes.index("gloves")]).tolist() == [3]


def test_photos_with_rare_classes_are_drawn_more_often(one_with_gloves):
    data = ParsingData([Source(one_with_gloves, 1.0, rare=1.0)], one_with_gloves, samples_per_epoch=4000, num_workers=0)
    data.setup("fit")
    drawn = data._draw(0)
    assert drawn == data._draw(0)
    counts = np.bincount([photo for _, photo in drawn], minlength=9)
    # √9 times as often as each of the eight others.
    assert counts[3] / 4000 == pytest.approx(3 / 11, abs=0.03)


def test_rare_classes_need_shares(one_with_gloves):
    with pytest.raises(ValueError, match="needs shares"):
        ParsingData([Source(one_with_gloves, rare=0.5)], one_with_gloves)


def test_damaged_masks_hold_nothing_if_they_may_be_skipped(one_with_gloves):
    folder = open_split(one_with_gloves, "train")
    mask = folder.pairs[3].mask
    mask.write_bytes(mask.read_bytes()[:50])
    with pytest.raises(ImageError):
        classes_held(folder)
    options = {"samples_per_epoch": 4, "num_workers": 0, "damaged": "skip"}
    data = ParsingData([Source(one_with_gloves, 1.0, rare=1.0)], one_with_gloves, **options)
    data.setup("fit")
    pixels = data.class_pixels()
    assert pixels.shape == (9, 20)
    assert np.flatnonzero(pixels.sum(axis=1) == 0).tolist() == [3]
