import numpy as np
import pytest

from ssnan.evaluation import bootstrap
from ssnan.evaluation.bootstrap import half_width, photos_of


def interval(base, other, measure):
    return bootstrap.interval(base, other, measure, [str(i) for i in range(base.shape[1])])


def counts(hits):
    """Of (S, N) hits of one class, ten pixels a photo."""
    hits = np.asarray(hits)
    return np.stack([hits, np.full_like(hits, 10), np.full_like(hits, 10)], axis=-1)[..., None]


def share(total):
    return total[..., 0, 0] / total[..., 1, 0]


def test_a_gain_in_every_photo_has_no_width():
    assert interval(counts([[4, 4, 4]]), counts([[6, 6, 6]]), share) == pytest.approx((0.2, 0.2))


def test_pairs_are_averaged():
    assert interval(counts([[4] * 5, [5] * 5]), counts([[6] * 5, [5] * 5]), share) == pytest.approx((0.1, 0.1))


def test_as_wide_as_the_binomial():
    """One photo in two gains 0.4: the mean gain of 100 drawn ones is 0.2 with a deviation of 0.02."""
    low, high = interval(counts([[4] * 100]), counts([[4, 8] * 50]), share)
    assert (low, high) == pytest.approx((0.2 - 1.96 * 0.02, 0.2 + 1.96 * 0.02), abs=0.006)


def test_both_are_drawn_together():
    """A difference between photos that both systems share is no difference between the systems."""
    hits = np.random.default_rng(0).integers(1, 9, size=(1, 50))
    assert interval(counts(hits), counts(hits + 1), share) == pytest.approx((0.1, 0.1))


def test_versions_of_a_photo_are_drawn_together():
    """Three versions of each photo that gain alike are no more ground than one: the interval is as wide."""
    base, other = [4] * 100, [4, 8] * 50
    names = [f"{version}_{i}" for i in range(100) for version in ("plain", "turned", "part")]
    once = interval(counts([base]), counts([other]), share)
    thrice = bootstrap.interval(counts([np.repeat(base, 3)]), counts([np.repeat(other, 3)]), share, names)
    assert thrice == pytest.approx(once, abs=0.006)


def test_only_a_photo_with_all_its_versions_is_one():
    names = ["plain_0", "part_0", "plain_1", "turned_1", "part_1", "1", "other_1"]
    names += ["plain_plain", "turned_plain", "part_plain"]
    one = dict.fromkeys(("plain_1", "turned_1", "part_1"), "plain_1")
    one |= dict.fromkeys(("plain_plain", "turned_plain", "part_plain"), "plain_plain")
    assert photos_of(names) == {name: name for name in names} | one


def test_student_s_t_by_hand():
    """Of 1 and 3, the mean is 2 with a standard error of 1; of 1 to 5, 3 with one of 0.7071; of 12, the last t."""
    assert half_width([1.0, 3.0]) == pytest.approx(12.706)
    assert half_width([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2.776 * 0.70711, rel=1e-4)
    assert half_width([0.0, 1.0] * 6) == pytest.approx(2.228 * 0.5222 / 12**0.5, rel=1e-3)
