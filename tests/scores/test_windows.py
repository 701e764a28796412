import numpy as np
import pytest

from ssnan.scores.softmax import softmax
from ssnan.scores.windows import in_windows, is_long


def by_colour(rgb):
    """Scores at a stride of about four, corners aligned: class 1 where red is high."""
    rows, columns = (np.linspace(0, side - 1, 1 + side // 4).round().astype(int) for side in rgb.shape[:2])
    red = rgb[rows][:, columns, 0].astype(np.float32) / 255
    return np.stack([5 - 10 * red, 10 * red - 5])


@pytest.mark.parametrize("turned", [False, True])
def test_what_lies_where_stays_there(turned):
    rgb = np.zeros((1000, 60, 3), dtype=np.uint8)
    rgb[430:520, 10:50, 0] = 255
    if turned:
        rgb = rgb.transpose(1, 0, 2)
    scores = in_windows(rgb, by_colour)
    found = scores.argmax(axis=0).T if turned else scores.argmax(axis=0)
    assert found.shape[0] == pytest.approx(251, abs=4)
    rows = np.flatnonzero(found.any(axis=1)) * 999 / (found.shape[0] - 1)
    assert rows.min() == pytest.approx(430, abs=6)
    assert rows.max() == pytest.approx(519, abs=6)
    columns = np.flatnonzero(found.any(axis=0)) * 59 / (found.shape[1] - 1)
    assert (columns.min(), columns.max()) == pytest.approx((10, 49), abs=6)
    np.testing.assert_allclose(softmax(scores).sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_a_ramp_along_the_photo_is_still_one(turned):
    """Windows and their cells are joined exactly where they lie: a probability that rises steadily still does."""
    rgb = np.zeros((1000, 60, 3), dtype=np.uint8)
    rgb[..., 0], rgb[..., 1] = np.divmod(np.arange(1000)[:, None], 256)
    if turned:
        rgb = rgb.transpose(1, 0, 2)

    def ramp(part):
        rows, columns = (np.linspace(0, side - 1, 1 + side // 4).round().astype(int) for side in part.shape[:2])
        place = part[rows][:, columns].astype(np.float32) @ np.array([256, 1, 0], dtype=np.float32)
        return np.log(np.stack([place + 1, 1001 - place])) + 7  # scores are probabilities but for a constant

    found = softmax(in_windows(rgb, ramp))[0]
    found = found.T if turned else found
    expected = (np.linspace(0, 999, len(found)) + 1) / 1002
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None], found.shape), atol=1e-5)


def test_the_middle_of_a_window_counts_most():
    """Three windows of 6 pixels disagree: a pixel is weighted by its distance from the nearer end of each window."""
    shares = [0.9, 0.5, 0.2]
    answers = iter(shares)

    def scores_of(part):
        share = next(answers)
        return np.broadcast_to(np.log([[[share]], [[1 - share]]]), (2, *part.shape[:2])).astype(np.float32)

    found = softmax(in_windows(np.zeros((10, 3, 3), dtype=np.uint8), scores_of))[0, :, 0]
    weights = np.zeros((3, 10))
    for weight, start in zip(weights, (0, 2, 4), strict=True):
        weight[start : start + 6] = 1, 2, 3, 3, 2, 1
    np.testing.assert_allclose(found, shares @ weights / weights.sum(axis=0), atol=1e-6)


def test_windows_are_seen_in_their_own_shape_and_cover_the_photo():
    seen = []

    def noting(rgb):
        seen.append(rgb)
        return by_colour(rgb)

    rgb = np.arange(60 * 700, dtype=np.uint32).reshape(700, 60)
    rgb = np.stack([rgb % 256, rgb // 256 % 256, rgb // 65536], axis=-1).astype(np.uint8)
    in_windows(rgb, noting)
    assert {part.shape for part in seen} == {(120, 60, 3)}
    assert len(seen) >= 10
    np.testing.assert_array_equal(seen[0], rgb[:120])
    np.testing.assert_array_equal(seen[-1], rgb[-120:])


def test_other_photos_are_seen_whole():
    assert not is_long(300, 100)
    assert is_long(301, 100)
    assert is_long(100, 301)
    rgb = np.zeros((90, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(in_windows(rgb, by_colour), by_colour(rgb))


def test_a_parser_reads_a_long_photo_in_windows(color_parser):
    shapes = []
    engine = color_parser.engine

    def noting(pixels):
        shapes.append(pixels.shape[2:])
        return engine(pixels)

    color_parser.engine = noting
    photo = np.zeros((900, 60, 3), dtype=np.uint8)
    photo[400:500, 10:50, 0] = 255
    labels = color_parser(photo).labels
    assert len(shapes) > 5
    assert labels.shape == (900, 60)
    assert set(np.unique(labels)) == {0, 2}
    rows = np.flatnonzero((labels == 2).any(axis=1))
    assert (rows.min(), rows.max()) == pytest.approx((400, 499), abs=8)


@pytest.mark.parametrize("size", [(1, 600), (2, 1000), (3000, 1)])
def test_a_thin_photo_needs_few_windows(size):
    seen = []

    def scores_of(rgb):
        seen.append(rgb.shape)
        return np.ones((2, 2 + rgb.shape[0] // 4, 2 + rgb.shape[1] // 4), dtype=np.float32)

    scores = in_windows(np.zeros((*size, 3), dtype=np.uint8), scores_of)
    assert len(seen) <= 15
    assert np.isfinite(scores).all()
