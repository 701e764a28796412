import math

import numpy as np
import pytest

from ssnan.labels import LIP
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.parsing.views import LARGEST, Views
from ssnan.scores.upsampling import resized

PLAIN = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), multiple=8)
LEFT_ARM, RIGHT_ARM = 14, 15


def left_or_right(pixels):
    """Calls red the arm on our right, as a network does that tells arms by their side of the photo."""
    red = pixels[:, 0, ::8, ::8]
    scores = np.zeros((len(pixels), 20, *red.shape[1:]), dtype=np.float32)
    half = np.arange(red.shape[2]) >= red.shape[2] / 2
    scores[:, LEFT_ARM] = np.where(half, 9 * red, 0)
    scores[:, RIGHT_ARM] = np.where(half, 0, 9 * red)
    return scores


def arms():
    photo = np.zeros((97, 129, 3), dtype=np.uint8)
    photo[30:60, 10:30, 0] = 255
    photo[20:70, 90:120, 0] = 255
    return photo


def test_one_view_is_the_engine_s_own_answer():
    parser = Parser(left_or_right, LIP, PLAIN)
    np.testing.assert_array_equal(parser(arms()).scores, left_or_right(PLAIN(arms())[None])[0])


def test_a_mirrored_view_swaps_left_and_right():
    plain = Parser(left_or_right, LIP, PLAIN)(arms())
    both = Parser(left_or_right, LIP, PLAIN, Views(mirror=True))(arms())
    assert {LEFT_ARM, RIGHT_ARM} <= set(np.unique(plain.labels))
    np.testing.assert_array_equal(both.labels, plain.labels)
    # Without the swap the two views would contradict each other, and neither arm would be sure of itself.
    assert both.confidence[45, 100] == pytest.approx(plain.confidence[45, 100], abs=1e-5)


def test_mean_of_probabilities_against_numpy():
    answers = iter([np.random.default_rng(i).normal(size=(1, 20, 3, 4)).astype(np.float32) for i in range(2)])
    seen = [next(answers) for _ in range(2)]
    again = iter(seen)
    scores = Views(mirror=True).scores(arms(), lambda _: next(again), LIP, PLAIN)

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=0)

    swapped = seen[1][0][LIP.flip_permutation][:, :, ::-1]
    np.testing.assert_allclose(softmax(scores), (softmax(seen[0][0]) + softmax(swapped)) / 2, atol=1e-6)


def test_sizes_follow_the_scales_and_the_result_is_at_the_largest():
    sizes = []

    def engine(pixels):
        sizes.append(pixels.shape[2:])
        return left_or_right(pixels)

    preprocessing = Preprocessing(longest_side=129, multiple=8)
    scores = Views((0.5, 1.5, 1.0)).scores(arms(), engine, LIP, preprocessing)
    assert sizes == [(49, 65), (145, 193), (97, 129)]
    assert scores.shape == (20, 19, 25)


def test_scores_are_resized_before_they_become_probabilities():
    def engine(pixels):
        size = (1, 20, pixels.shape[2] // 8 + 1, pixels.shape[3] // 8 + 1)
        return np.random.default_rng(size[2]).normal(scale=4, size=size).astype(np.float32)

    found = Views((0.5, 1.0)).scores(arms(), engine, LIP, PLAIN)
    maps = [resized(engine(PLAIN(arms(), scale)[None])[0], 13, 17) for scale in (0.5, 1.0)]
    expected = np.mean([np.exp(one) / np.exp(one).sum(axis=0) for one in maps], axis=0)
    np.testing.assert_allclose(np.exp(found), expected, atol=1e-5)


def test_the_largest_scale_is_allowed():
    assert Views((float(LARGEST),)).scales == (4.0,)


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (4.1,), (math.nan,), (math.inf,)])
def test_scales_must_be_factors(scales):
    with pytest.raises(ValueError, match="expected factors above 0 and at most 4"):
        Views(scales)
