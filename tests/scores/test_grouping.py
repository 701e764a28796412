import numpy as np
import pytest

from ssnan.labels import LIP
from ssnan.scores.grouping import MOST_PEOPLE, centers_of, grouped, largest_first

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
    found = grouped(heads_of(people, (11, 17)), CLOTHES * (people > 0).astype(np.uint8), LIP)
    assert ((found > 0) == (people > 0)).all()
    assert (found[people == 2] == 1).mean() > 0.9
    assert (found[people == 1] == 2).mean() > 0.9


def test_a_border_between_people_lies_between_cells():
    people = np.zeros((33, 65), dtype=np.uint8)
    people[:, 8:31], people[:, 31:57] = 1, 2
    found = grouped(heads_of(people, (5, 9)), CLOTHES * (people > 0).astype(np.uint8), LIP)
    border = (found == 2).sum(axis=1)
    assert abs(np.median(border) - 23) <= 3  # a cell is 8 pixels wide


def test_somebody_without_a_centre_is_one_person():
    people = side_by_side()
    maps = heads_of(people, (11, 17))
    maps[0] = -5
    np.testing.assert_array_equal(grouped(maps, people, LIP), people > 0)


def test_nobody_is_nobody_whatever_the_centres():
    assert not grouped(heads_of(side_by_side(), (11, 17)), np.zeros((40, 64), dtype=np.uint8), LIP).any()


def test_a_centre_of_almost_nobody_is_left_out():
    people = side_by_side()
    maps = heads_of(people, (11, 17))
    maps[0, 0, 0] = 6  # in the background, and nothing points there
    found = grouped(maps, people, LIP)
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found[people == 2] == 1).mean() > 0.9


@pytest.mark.parametrize(("cells", "count"), [(20, 1), (30, 2)])
def test_a_group_below_a_twentieth_of_the_largest_joins_the_others(cells, count):
    people = np.ones((20, 25), dtype=np.uint8)
    places = np.full((2, 500), 10.0, dtype=np.float32)
    places[1] = np.where(np.arange(500) < cells, 20, 5)  # the first few cells point to another centre
    maps = np.concatenate([np.full((1, 20, 25), -4, np.float32), places.reshape(2, 20, 25) - np.indices((20, 25))])
    maps[0, 10, 5] = maps[0, 10, 20] = 3
    found = grouped(maps.astype(np.float32), CLOTHES * people, LIP)
    assert np.bincount(found.ravel())[1:].tolist() == ([500] if count == 1 else [470, 30])


@pytest.mark.parametrize(("probability", "count"), [(0.38, 0), (0.42, 1)])
def test_a_centre_has_a_probability_of_two_fifths(probability, count):
    maps = np.zeros((3, 20, 20), dtype=np.float32)
    maps[0] = -4
    maps[0, 5, 5] = np.log(probability / (1 - probability))
    everywhere = np.ones((20, 20), dtype=bool)
    assert len(centers_of(maps, ~everywhere, everywhere)) == count


def test_ignored_pixels_belong_to_nobody():
    people = side_by_side()
    labels = people.copy()
    labels[20, 20] = LIP.ignore_index
    assert grouped(heads_of(people, (11, 17)), labels, LIP)[20, 20] == 0


def test_centres_are_peaks_most_probable_first_and_not_too_many():
    maps = np.zeros((3, 60, 60), dtype=np.float32)
    nowhere, everywhere = np.zeros((60, 60), dtype=bool), np.ones((60, 60), dtype=bool)
    maps[0] = -4
    maps[0, 5, 5], maps[0, 5, 6], maps[0, 20, 30] = 2, 1, 3  # the second is beside a higher one
    assert centers_of(maps, nowhere, everywhere).tolist() == [[20, 30], [5, 5]]
    maps[0, ::5, ::5] = 1 + np.arange(144).reshape(12, 12) / 144
    assert len(centers_of(maps, nowhere, everywhere)) == MOST_PEOPLE


def test_a_bystander_whom_the_label_map_lacks_has_no_centre():
    """Otherwise the feet of somebody else would be the bystander's."""
    maps = np.zeros((3, 30, 30), dtype=np.float32)
    maps[0] = -4
    maps[0, 6, 8], maps[0, 14, 24] = 3, 2
    people = np.zeros((30, 30), dtype=bool)
    people[4:28, 5:12] = True
    nowhere = np.zeros_like(people)
    assert centers_of(maps, nowhere, people).tolist() == [[6, 8]]
    people[16, 22] = True  # two cells away in each direction
    assert centers_of(maps, nowhere, people)[:2].tolist() == [[6, 8], [14, 24]]
    assert len(centers_of(maps, nowhere, nowhere)) == 0


def test_a_head_has_one_centre_unless_its_peaks_point_apart():
    maps = np.zeros((3, 30, 30), dtype=np.float32)
    maps[0] = -4
    maps[0, 10, 8], maps[0, 10, 16] = 2, 3
    one = np.zeros((30, 30), dtype=bool)
    one[3:18, 4:19] = True  # 15 × 15 cells, so 7.5 is near
    assert centers_of(maps, one, one).tolist() == [[10, 16], [10, 8]]
    maps[2, 10, 8], maps[2, 10, 16] = 1, -1
    assert centers_of(maps, one, one).tolist() == [[10, 16]]
    two = one.copy()
    maps[2, 10, 8] = maps[2, 10, 16] = 0
    two[:, 12] = False
    assert len(centers_of(maps, two, two)) == 2
    assert len(centers_of(maps, np.zeros_like(one), one)) == 2


def test_a_head_whose_centre_was_missed_has_one_unless_it_points_to_another():
    maps = np.zeros((3, 30, 30), dtype=np.float32)
    maps[0] = -4
    maps[0, 5, 5] = 3
    heads = np.zeros((30, 30), dtype=bool)
    heads[3:8, 3:8] = heads[20:23, 18:23] = True
    heads[27:29, 27:] = True  # 6 of 25 cells
    people = np.ones_like(heads)
    assert centers_of(maps, heads, people).tolist() == [[5, 5], [21, 20]]
    maps[1:, 20:23, 18:23] = -9  # to (12, 11), nearer to the other
    assert centers_of(maps, heads, people).tolist() == [[5, 5]]


def test_a_piece_that_touches_nobody_is_somebody_unless_it_points_to_a_centre():
    """Somebody whose head is covered, beside somebody whose legs are cut off by a table."""
    people = np.zeros((40, 40), dtype=bool)
    heads = people.copy()
    heads[3:8, 3:8] = True
    people[3:20, 3:10] = people[23:38, 3:10] = people[20:38, 30:37] = True
    maps = np.zeros((3, 40, 40), dtype=np.float32)
    maps[0] = -4
    assert centers_of(maps, np.zeros_like(heads), people).tolist() == []  # nobody has a centre: all are one person
    maps[0, 5, 5] = 3
    rows, columns = np.indices((40, 40))
    for middle, columns_of in ((5, slice(3, 10)), (33, slice(30, 37))):
        maps[1:, :, columns_of] = np.stack([5 - rows, middle - columns])[:, :, columns_of]
    assert centers_of(maps, heads, people).tolist() == [[5, 5], [5, 33]]
    maps[1:, :, 30:37] = np.stack([5 - rows, 5 - columns])[:, :, 30:37]
    assert centers_of(maps, heads, people).tolist() == [[5, 5]]


def test_numbers_have_no_gaps_and_the_largest_is_one():
    assert largest_first(np.array([[0, 7, 3, 3]], dtype=np.uint8)).tolist() == [[0, 2, 1, 1]]
