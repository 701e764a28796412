import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from ssnan.labels import LIP
from ssnan.results import result as of_results
from ssnan.results.outputs import files
from ssnan.results.people_images import COLORS
from ssnan.results.result import ParsingResult, largest_person
from ssnan.scores.upsampling import confidence_at

CLOTHES, FACE = 5, 13


def two(gap, **options):
    """A large and a small figure, each with a head, ``gap`` columns between them."""
    labels = np.zeros((20, 30), dtype=np.uint8)
    for left, top in ((2, 2), (10 + gap, 4)):
        labels[top:18, left : left + 8] = CLOTHES
        labels[top : top + 4, left + 2 : left + 6] = FACE
    return ParsingResult(labels, LIP, np.zeros((20, 5, 8), dtype=np.float32), **options)


@pytest.mark.parametrize("gap", [0, 5])
def test_each_person_is_a_result_of_their_own(gap):
    result = two(gap)
    assert [person.number for person in result.people] == [1, 2]
    first, second = result.people
    assert first.box == (2, 2, 10, 18)
    assert second.box == (10 + gap, 4, 18 + gap, 18)
    assert first.parts == {"upper-clothes": 128 - 16, "face": 16}
    assert second.joints["head"] == pytest.approx((13.5 + gap, 5.5))
    np.testing.assert_array_equal(first.labels + second.labels, result.labels)
    np.testing.assert_array_equal(result.people_map, first.mask() + 2 * second.mask())
    assert [person.number for person in second.people] == [1]
    assert result.person(1) is second


def test_somebody_who_is_not_there_is_said_so():
    with pytest.raises(IndexError, match="no person 2: the photo shows 2, counted from 0"):
        two(0).person(2)
    with pytest.raises(IndexError):
        two(0).person(-1)
    nobody = ParsingResult(np.zeros((9, 9), dtype=np.uint8), LIP)
    assert nobody.people == []
    assert nobody.to_dict()["count"] == 0
    assert largest_person(nobody) is nobody


def test_the_network_s_own_answer_comes_first():
    numbers = np.zeros((20, 30), dtype=np.uint8)
    numbers[:, :6], numbers[:, 6:] = 2, 1
    result = two(0, instances=numbers)
    np.testing.assert_array_equal(result.people_map, numbers * (result.labels > 0))
    assert result.remap("atr").people_map.max() == 2
    assert result.person(1).box == (2, 2, 6, 18)


def test_other_labels_show_the_people_that_an_instance_head_told_apart():
    """Two peaks in one head, which labels without heads would take for two people."""
    labels = np.full((40, 40), LIP.classes.index("hair"), dtype=np.uint8)
    maps = np.zeros((3, 11, 11), dtype=np.float32)
    maps[0] = -9
    maps[0, 5, [4, 7]] = 9
    result = ParsingResult(labels, LIP, instance_maps=maps)
    assert result.people_map.max() == 1
    assert result.remap("merged").people_map.max() == 1
    assert result.remap("atr").in_distinct_colors().people_map.max() == 1


def test_labels_without_heads_show_the_people_of_those_with_heads():
    assert two(gap=0).remap("merged").count == 2


def test_a_person_whose_pixels_are_gone_is_gone():
    numbers = np.zeros((20, 30), dtype=np.uint8)
    numbers[:, :10], numbers[:, 10:] = 1, 2
    result = two(0, instances=numbers)
    left = replace(result, labels=result.labels * (numbers == 2))
    assert [person.number for person in left.people] == [1]
    assert left.to_dict()["count"] == 1


def test_others_are_not_in_a_cutout_even_if_they_touch():
    result = two(gap=0, source=np.zeros((20, 30, 3), dtype=np.uint8))
    first, second = result.people
    for own, other in ((first, second), (second, first)):
        alpha = np.asarray(own.cutout())[..., 3]
        assert not alpha[other.mask()].any()
        assert alpha[own.mask()].any()


@pytest.mark.parametrize("scale", [1, 10])
def test_what_is_unsure_beside_others_is_not_in_a_cutout(scale):
    labels = np.zeros((40, 120), dtype=np.uint8)
    labels[5:35, 5:25] = labels[10:35, 90:105] = CLOTHES
    scores = np.full((20, 20, 60), -9.0, dtype=np.float32)
    scores[0] = 0
    scores[CLOTHES][labels[::2, ::2] == CLOTHES] = 9
    scores[CLOTHES, 5:15, 15:19] = -0.1  # something at the first person's side
    scores[CLOTHES, scores[CLOTHES] > 8] *= scale  # a network may be as sure as it likes
    result = ParsingResult(labels, LIP, scores, np.zeros((40, 120, 3), dtype=np.uint8))
    first, second = (np.asarray(person.cutout())[..., 3] for person in result.people)
    assert first[20, 34] > 60
    assert not second[:, :60].any()
    assert second[20, 95] == 255


def test_a_score_is_the_mean_probability_of_a_person():
    result = two(gap=5)
    result.scores[0, :, 4:] = 3  # the second person is less sure
    assert result.person(0).score == pytest.approx(0.95)  # 19 of 20 equal classes
    assert result.person(1).score == pytest.approx(19 / (19 + np.exp(3)))
    assert (result.scores[0, :, :4] == 0).all()
    assert ParsingResult(result.labels, LIP).person(0).score is None


def test_a_score_weights_a_cell_by_the_share_that_the_person_covers():
    """One cell is covered wholly, another by a quarter."""
    labels = np.zeros((8, 16), dtype=np.uint8)
    labels[:, :8] = labels[4:, 8:12] = CLOTHES
    scores = np.full((20, 1, 2), -50.0, dtype=np.float32)
    scores[0], scores[CLOTHES] = 0, np.log([9, 1])  # probabilities of 0.9 and 0.5
    assert ParsingResult(labels, LIP, scores).person(0).score == pytest.approx((0.9 + 0.25 * 0.5) / 1.25, abs=1e-3)


def test_a_few_pixels_of_a_large_photo_have_a_score():
    labels = np.zeros((2000, 2000), dtype=np.uint8)
    labels[990:993, 990:993] = CLOTHES
    scores = np.zeros((20, 10, 10), dtype=np.float32)
    scores[0, 4, 4] = 3
    few = ParsingResult(labels, LIP, scores).person(0)
    assert few.areas[LIP.classes[CLOTHES]] == 9
    assert few.score == pytest.approx(19 / (19 + np.exp(3)))


def test_a_person_s_confidence_is_the_photo_s_and_computed_once(monkeypatch):
    labels = two(gap=0).labels.repeat(8, axis=0).repeat(8, axis=1)
    scores = np.random.default_rng(0).normal(0, 2, (20, 20, 30)).astype(np.float32)
    result = ParsingResult(labels, LIP, scores)
    computed = []
    monkeypatch.setattr(of_results, "confidence_at", lambda *at: computed.append(at) or confidence_at(*at))
    entries = result.to_dict()["people"]
    assert len(computed) == 1
    assert entries == [person.to_entry() for person in result.people]
    assert len(computed) == 3


@pytest.mark.parametrize(
    "use",
    [
        lambda result: result.to_dict(),
        lambda result: [content() for content in files(result, "photo.jpg", ("json", "people"), ()).values()],
    ],
)
def test_no_array_of_a_person_stays_in_memory(use):
    numbers = np.repeat(np.repeat(np.arange(1, 17, dtype=np.uint8).reshape(4, 4), 100, axis=0), 100, axis=1)
    result = ParsingResult(np.full_like(numbers, CLOTHES), LIP, instances=numbers)
    assert result.count == 16
    tracemalloc.start()
    use(result)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 * result.labels.nbytes  # one person has three


def test_the_largest_person_stays_alone():
    alone = largest_person(two(gap=5))
    assert len(alone.people) == 1
    assert not alone.labels[:, 12:].any()
    assert alone.areas["face"] == 16
    assert alone.probability()[10, 18] < 0.01
    assert alone.remap("atr").probability()[10, 18] < 0.01


def test_a_parser_keeps_the_largest_person(color_parser):
    photo = np.zeros((40, 80, 3), dtype=np.uint8)
    photo[5:35, 5:25, 0] = 255
    photo[10:35, 50:65, 0] = 255
    color_parser.largest = True
    result = color_parser(photo)
    assert result.labels[20, 15] == 2
    assert not result.labels[:, 45:].any()
    assert np.asarray(result.cutout())[20, 57, 3] == 0


def test_an_overlay_has_a_colour_for_each_person():
    result = two(gap=5, source=np.zeros((20, 30, 3), dtype=np.uint8))
    drawn = np.asarray(result.overlay(opacity=1.0, people=True))
    np.testing.assert_array_equal(drawn, COLORS[result.people_map])
    assert len({tuple(color) for color in COLORS[:20]}) == 20
