import numpy as np
import pytest

from ssnan.labels import LIP, LIP_MERGED
from ssnan.results.pieces import numbered

CLOTHES, FACE, SHOE = 5, 13, 18


def figure(labels, left, top, height=60, width=20, head=True):
    labels[top : top + height, left : left + width] = CLOTHES
    if head:
        labels[top : top + 12, left + 5 : left + 15] = FACE


@pytest.fixture
def labels():
    return np.zeros((100, 160), dtype=np.uint8)


def test_each_head_of_a_region_is_a_person_and_pixels_go_to_the_nearest(labels):
    figure(labels, 20, 20)
    figure(labels, 40, 10, height=70)
    found = numbered(labels, LIP)
    assert (found[20:80, 20:38] == 2).all()
    assert (found[10:80, 42:60] == 1).all()
    assert ((found > 0) == (labels > 0)).all()


def test_what_is_beside_a_head_goes_to_the_person_it_belongs_to(labels):
    """A tall person raises an arm above the head of a small one."""
    figure(labels, 20, 5, height=90)
    figure(labels, 40, 50, height=45)
    labels[20:26, 40:56] = LIP.classes.index("left-arm")
    found = numbered(labels, LIP)
    assert (found[20:26, 40:52] == 1).all()
    assert (found[52:90, 42:60] == 2).all()


def test_a_child_in_front_of_somebody_is_a_person(labels):
    figure(labels, 20, 5, height=90, width=30)
    figure(labels, 25, 40, height=55)
    found = numbered(labels, LIP)
    assert found.max() == 2
    assert (found[60:90, 33:38] == 2).all()
    assert (found[8:30, 22:48] == 1).all()


def test_what_something_cuts_off_belongs_to_the_person_near_by(labels):
    figure(labels, 20, 10)
    labels[30:34] = 0  # a rail in front of the body
    labels[75:79, 22:28] = SHOE
    assert set(np.unique(numbered(labels, LIP))) == {0, 1}
    assert (numbered(labels, LIP)[75:79, 22:28] == 1).all()


def test_a_large_region_far_away_is_somebody_without_a_head_and_a_small_one_nobody_s(labels):
    figure(labels, 10, 20)
    figure(labels, 120, 20, head=False)
    labels[90:94, 70:75] = SHOE
    found = numbered(labels, LIP)
    assert (found[20:80, 120:140] == 2).all()
    assert not found[90:94, 70:75].any()


@pytest.mark.parametrize(("width", "count"), [(4, 2), (2, 1)])
def test_large_is_a_seventh_of_the_largest(labels, width, count):
    figure(labels, 10, 20)
    labels[20:80, 120 : 120 + width] = CLOTHES
    assert numbered(labels, LIP).max() == count


@pytest.mark.parametrize(("gap", "owner"), [(17, 1), (18, 0)])
def test_near_by_is_half_the_root_of_the_person_s_pixels(labels, gap, owner):
    figure(labels, 10, 20)
    labels[60:64, 30 + gap : 34 + gap] = SHOE
    assert (numbered(labels, LIP)[60:64, 30 + gap : 34 + gap] == owner).all()


def test_near_by_is_measured_by_the_nearest_person_not_the_largest(labels):
    figure(labels, 10, 20)
    figure(labels, 100, 20, height=20, width=15)
    labels[24:28, 125:129] = SHOE  # 10 columns away from 300 pixels
    assert not numbered(labels, LIP)[24:28, 125:129].any()
    labels[24:28, 121:125] = SHOE
    assert (numbered(labels, LIP)[24:28, 121:125] == 2).all()


def test_legs_without_anybody_s_head_are_one_person(labels):
    labels[20:80, 40:50] = labels[20:80, 56:66] = LIP.classes.index("pants")
    assert set(np.unique(numbered(labels, LIP))) == {0, 1, 2}
    labels[15:20, 40:66] = CLOTHES
    assert set(np.unique(numbered(labels, LIP))) == {0, 1}


def test_without_a_region_of_heads_large_regions_are_people(labels):
    labels[20:80, 20:40], labels[20:80, 45:60], labels[2:4, 20:22] = 3, 2, 1
    found = numbered(labels, LIP_MERGED)
    assert (found[20:80, 20:40] == 1).all()
    assert (found[20:80, 45:60] == 2).all()
    assert (found[2:4, 20:22] == 1).all()


def test_nobody_and_ignored_pixels(labels):
    assert not numbered(labels, LIP).any()
    labels[:50] = LIP.ignore_index
    assert not numbered(labels, LIP).any()


def test_only_the_largest_regions_belong_to_people(labels, monkeypatch):
    """So that noise, which has a million regions, takes no time."""
    monkeypatch.setattr("ssnan.results.pieces.MOST_PIECES", 4)
    figure(labels, 20, 20)
    labels[20:80:10, 42] = SHOE
    found = numbered(labels, LIP)
    assert found.max() == 1
    assert np.count_nonzero(found[:, 42]) == 3


def test_specks_of_heads_are_no_people(labels):
    figure(labels, 20, 20)
    labels[60:63, 22:25] = FACE
    assert numbered(labels, LIP).max() == 1
