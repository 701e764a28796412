import tracemalloc

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from ssnan.scores import upsampling


def reference(scores, size):
    return interpolate(torch.from_numpy(scores)[None], size=size, mode="bilinear", align_corners=True)[0]


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(0).normal(size=(20, 9, 7)).astype(np.float32) * 3,
        np.eye(63, dtype=np.float32).reshape(63, 9, 7) + np.linspace(0, 0.01, 63, dtype=np.float32)[:, None, None],
    ],
    ids=["random", "a class per feature"],
)
@pytest.mark.parametrize("tile", [10, 30])  # the last ones smaller
def test_equals_bilinear_upsampling_then_argmax(monkeypatch, scores, tile):
    monkeypatch.setattr(upsampling, "TILE", tile)
    full = reference(scores, (101, 83))
    labels = upsampling.labels_at(scores, 101, 83)
    best, second = full.sort(dim=0, descending=True).values[:2].numpy()
    clear = best - second > 1e-4
    np.testing.assert_array_equal(labels[clear], full.argmax(0).numpy()[clear])
    assert clear.mean() > 0.99


def test_classes_that_win_in_a_small_place_are_found_there():
    """Smooth maps with peaks, as networks make them: most classes can win nowhere but in their corner."""
    generator = np.random.default_rng(2)
    y, x = np.mgrid[:25, :33]
    peaks = ((generator.uniform(0, 25), generator.uniform(0, 33)) for _ in range(19))
    scores = np.stack([np.full((25, 33), 2.0), *(9 - np.hypot(y - cy, x - cx) for cy, cx in peaks)]).astype(np.float32)
    for size in ((400, 531), (26, 40), (25, 33), (25, 300)):
        full = reference(scores, size)
        best, second = full.sort(dim=0, descending=True).values[:2].numpy()
        clear = best - second > 1e-4
        np.testing.assert_array_equal(upsampling.labels_at(scores, *size)[clear], full.argmax(0).numpy()[clear])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_maps_of_a_single_row_or_column(shape):
    scores = np.random.default_rng(3).normal(size=(4, *shape)).astype(np.float32)
    expected = reference(scores, (30, 20)).argmax(0).numpy()
    assert (upsampling.labels_at(scores, 30, 20) == expected).mean() > 0.99


@pytest.mark.parametrize("shape", [(6, 4), (1, 4), (6, 1), (50, 40)])
def test_confidence_is_the_winner_s_probability(monkeypatch, shape):
    monkeypatch.setattr(upsampling, "STRIP_WIDTH", 15)  # strips of 15 columns, the last ones narrower,
    monkeypatch.setattr(upsampling, "STRIP_PIXELS", 105)  # and seven rows, the last ones shorter
    scores = np.random.default_rng(1).normal(size=(5, *shape)).astype(np.float32) * 20
    expected = reference(scores, (50, 40)).softmax(0).max(0).values.numpy()
    np.testing.assert_allclose(upsampling.confidence_at(scores, 50, 40), expected, atol=1e-4)


def test_memory_of_confidence_does_not_grow_with_classes_times_pixels():
    scores = np.zeros((200, 3, 4), dtype=np.float32)
    tracemalloc.start()
    upsampling.confidence_at(scores, 3, 50_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores.shape[0] * 3 * 50_000  # bytes; a float of each class and pixel has four times as many


def test_confidence_of_a_photo_smaller_than_its_map():
    """A pixel is a mean over cells, as in the label map."""
    scores = np.random.default_rng(4).normal(size=(5, 41, 33)).astype(np.float32)
    small = upsampling.resized(scores, 20, 15)
    expected = (np.exp(small) / np.exp(small).sum(axis=0)).max(axis=0)
    np.testing.assert_allclose(upsampling.confidence_at(scores, 20, 15), expected, atol=1e-5)


def test_a_photo_smaller_than_its_map():
    scores = np.zeros((2, 41, 41), dtype=np.float32)
    scores[0, :, :20] = scores[1, :, 21:] = 1
    for side in (1, 2, 20, 40):
        labels = upsampling.labels_at(scores, side, side)
        assert labels.shape == (side, side)
        if side > 1:
            assert (labels[:, 0] == 0).all()
            assert (labels[:, -1] == 1).all()


def test_a_class_that_wins_nowhere_may_win_the_mean_of_a_smaller_photo():
    """Waves of two classes, which cross above a third one: a pixel of the photo is a mean over more than a wave."""
    places = np.arange(1000) / 50
    scores = np.stack([abs(np.cos(places)), abs(np.sin(places)), np.full(1000, 0.66)]).astype(np.float32)
    assert (scores.argmax(axis=0) < 2).all()
    for shape, size in (((3, 1, 1000), (1, 6)), ((3, 1000, 1), (6, 1))):
        waves = scores.reshape(shape)
        assert (upsampling.resized(waves, *size).argmax(axis=0).ravel()[1:-1] == 2).all()
        assert (upsampling.labels_at(waves, *size).ravel()[1:-1] == 2).all()


def test_of_equal_scores_the_first_class_wins_as_in_argmax():
    scores = np.ones((3, 5, 5), dtype=np.float32)
    scores[0, :, 2:] = 0
    np.testing.assert_array_equal(upsampling.labels_at(scores, 5, 5), [[0, 0, 1, 1, 1]] * 5)
