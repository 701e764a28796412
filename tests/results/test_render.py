import numpy as np
import pytest
from PIL import Image

from fakes.lip import person
from ssnan.labels import LIP
from ssnan.results.render import grid, heatmap, joints_over, map_over, summary
from ssnan.results.result import ParsingResult


def test_photo_map_and_legend_side_by_side():
    photo, labels = person()
    picture = np.array(summary(photo, ParsingResult(labels, LIP), opacity=1.0))
    np.testing.assert_array_equal(picture[:, :64], photo)
    middle = picture[:, 64:128]
    np.testing.assert_array_equal(middle[labels > 0], LIP.color_table[labels[labels > 0]])
    np.testing.assert_array_equal(middle[labels == 0], photo[labels == 0])
    legend_colors = {tuple(color) for color in picture[:, 128:].reshape(-1, 3).tolist()}
    assert {LIP.palette[i] for i in np.unique(labels) if i} <= legend_colors
    assert LIP.palette[6] not in legend_colors  # no dress here


def test_nobody_and_wrong_sizes():
    photo, labels = person()
    assert summary(photo, ParsingResult(labels * 0, LIP)).height == 96
    with pytest.raises(ValueError, match="one size"):
        summary(photo, ParsingResult(labels[1:], LIP))


def test_joints_lie_on_their_parts():
    photo, labels = person()
    picture = np.array(joints_over(photo, [ParsingResult(labels, LIP)]))
    rows, columns = np.nonzero(labels == LIP.classes.index("left-arm"))
    assert picture[round(rows.mean()), round(columns.mean())].tolist() == [255, 255, 255]
    second = np.array(joints_over(photo, [ParsingResult(labels * 0, LIP), ParsingResult(labels, LIP)]))
    assert tuple(second[round(rows.mean()), round(columns.mean())]) == LIP.palette[14]


def test_heat_is_brighter_where_values_are_larger():
    picture = np.asarray(heatmap(np.array([[0.0, 1.0]], dtype=np.float32), (8, 4)))
    assert picture.shape == (4, 8, 3)
    assert picture[0, 0].tolist() == [13, 8, 80]
    assert picture[0, -1].tolist() == [240, 249, 33]


def test_grid_places_pictures_under_their_heads():
    red, blue = (Image.new("RGB", (50, 100), color) for color in ("red", "blue"))
    picture = np.asarray(grid([[red, blue], [blue, red]], ["a", "b"], height=100))
    assert picture.shape == (26 + 100 + 4 + 100, 50 + 4 + 50, 3)
    assert picture[60, 20].tolist() == picture[200, 80].tolist() == [255, 0, 0]
    assert picture[60, 80].tolist() == picture[200, 20].tolist() == [0, 0, 255]


def test_map_over_leaves_the_background():
    photo, labels = person()
    blended = np.asarray(map_over(photo, labels, LIP, opacity=1.0))
    np.testing.assert_array_equal(blended[labels == 0], photo[labels == 0])
    np.testing.assert_array_equal(
        blended, LIP.color_table[labels] * (labels > 0)[..., None] + photo * (labels == 0)[..., None]
    )
