import numpy as np

from ssnan.labels import LIP
from ssnan.scores.grouping import MOST, centers_of, grouped, largest_first

CLOTHES = 5


def heads_of(people, cells):
    """The maps that a perfect network returns for a map of people (H, W), by a loop over its cells."""
    height, width = cells
    rows = np.linspace(0, people.shape[0] - 1, height).round().astype(int)
    columns = np.linspace(0, people.shape[1] - 1, width).round().astype(int)
    small = people[np.ix_(rows, columns)]
    maps = np.zeros((3, height, width), dtype=np.float32)
    maps[0] = -5
    for number in set(small.ravel()) - {0}:
        places = np.argwhere(small == number)
        center = places.mean(axis=0)
        maps[0, *center.round().astype(int)] = 5
        for y, x in places:
            maps[1:, y, x] = center - (y, x)
    return maps


def side_by_side():
    """A wide figure that touches a narrow one, on a photo of 40 × 64."""
    people = np.zeros((40, 64), dtype=np.uint8)
    people[4:36, 8:32] = 2
    people[8:36, 32:48] = 1
    return people


def test_people_who_touch_are_told_apart_and_numbered_by_size():
    people = side_by_side()
    found = grouped(heads_of(people, (11, 17)), CLOTHES * (people > 0).astype(np.uint8), LIP.person)
    assert ((found > 0) == (people > 0)).all()
    assert (found[people == 2] == 1).mean() > 0.9
    assert (found[people == 1] == 2).mean() > 0.9


def test_a_border_between_people_lies_between_cells():
    people = np.zeros((33, 65), dtype=np.uint8)
    people[:, 8:31], people[:, 31:57] = 1, 2
    found = grouped(heads_of(people, (5, 9)), CLOTHES * (people > 0).astype(np.uint8), LIP.person)
    border = (found == 2).sum(axis=1)
    assert abs(np.median(border) - 23) <= 3  # a cell is 8 pixels wide


def test_somebody_without_a_centre_is_one_person():
    people = side_by_side()
    maps = heads_of(people, (11, 17))
    maps[0] = -5
    np.testing.assert_array_equal(grouped(maps, people, LIP.person), people > 0)


def test_nobody_is_nobody_whatever_the_centres():
    assert not grouped(heads_of(side_by_side(), (11, 17)), np.zeros((40, 64), dtype=np.uint8), LIP.person).any()


def test_a_centre_of_almost_nobody_is_left_out():
    people = side_by_side()
    maps = heads_of(people, (11, 17))
    maps[0, 0, 0] = 6  # in the background, and nothing points there
    found = grouped(maps, people, LIP.person)
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found[people == 2] == 1).mean() > 0.9


def test_ignored_pixels_belong_to_nobody():
    people = side_by_side()
    labels = people.copy()
    labels[20, 20] = LIP.ignore_index
    assert grouped(heads_of(people, (11, 17)), labels, LIP.person)[20, 20] == 0


def test_centres_are_peaks_most_probable_first_and_not_too_many():
    maps = np.zeros((3, 60, 60), dtype=np.float32)
    maps[0] = -4
    maps[0, 5, 5], maps[0, 5, 6], maps[0, 20, 30] = 2, 1, 3  # the second is beside a higher one
    assert centers_of(maps).tolist() == [[20, 30], [5, 5]]
    maps[0, ::5, ::5] = 1 + np.arange(144).reshape(12, 12) / 144
    assert len(centers_of(maps)) == MOST


def test_a_peak_that_points_to_another_is_no_centre():
    maps = np.zeros((3, 30, 30), dtype=np.float32)
    maps[0] = -4
    maps[0, 10, 10], maps[0, 10, 18] = 3, 2
    maps[2, 10, 18] = -3  # nearer to itself than to the other
    assert centers_of(maps).tolist() == [[10, 10], [10, 18]]
    maps[2, 10, 18] = -5
    assert centers_of(maps).tolist() == [[10, 10]]
    maps[2, 10, 10], maps[2, 10, 18] = 8, 0  # the most probable one stays, wherever it points
    assert centers_of(maps).tolist() == [[10, 10], [10, 18]]


def test_numbers_have_no_gaps_and_the_largest_is_one():
    assert largest_first(np.array([[0, 7, 3, 3]], dtype=np.uint8)).tolist() == [[0, 2, 1, 1]]
