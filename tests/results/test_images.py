import numpy as np
import pytest

from fakes.lip import person
from ssnan.labels import LIP
from ssnan.results.images import joints_over, summary
from ssnan.results.render import LEAST_ROW, map_over
from ssnan.results.result import ParsingResult


def test_photo_map_and_legend_side_by_side():
    photo, labels = person()
    image = np.array(summary(photo, ParsingResult(labels, LIP)))
    np.testing.assert_array_equal(image[:, :64], photo)
    middle = image[:, 64:128]
    np.testing.assert_array_equal(middle, np.asarray(map_over(photo, labels, LIP)))
    legend_colors = {tuple(color) for color in image[:, 128:].reshape(-1, 3).tolist()}
    assert {LIP.palette[i] for i in np.unique(labels) if i} <= legend_colors
    assert LIP.palette[6] not in legend_colors  # no dress here


def test_a_small_photo_keeps_all_rows_of_its_legend():
    labels = np.repeat(np.arange(20, dtype=np.uint8), 3)[:, None] * np.ones(40, dtype=np.uint8)
    photo = np.zeros((60, 40, 3), dtype=np.uint8)
    image = np.array(summary(photo, ParsingResult(labels, LIP)))
    assert image.shape[0] == 19 * LEAST_ROW
    assert set(LIP.palette[1:]) <= {tuple(color) for color in image[:, 80:].reshape(-1, 3).tolist()}
    assert (image[60:, :80] == 255).all()


def test_nobody_and_wrong_sizes():
    photo, labels = person()
    assert summary(photo, ParsingResult(labels * 0, LIP)).height == 96
    with pytest.raises(ValueError, match="one size"):
        summary(photo, ParsingResult(labels[1:], LIP))


def test_joints_lie_on_their_parts():
    photo, labels = person()
    image = np.array(joints_over(photo, [ParsingResult(labels, LIP)]))
    rows, columns = np.nonzero(labels == LIP.classes.index("left-arm"))
    assert image[round(rows.mean()), round(columns.mean())].tolist() == [255, 255, 255]
    second = np.array(joints_over(photo, [ParsingResult(labels * 0, LIP), ParsingResult(labels, LIP)]))
    assert tuple(second[round(rows.mean()), round(columns.mean())]) == LIP.palette[14]
