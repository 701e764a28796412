import numpy as np

from ssnan.labels import LIP
from ssnan.results.people import count, main_figure
from ssnan.results.result import ParsingResult

CLOTHES, FACE = 5, 13


def two(gap):
    """A large and a small figure, each with a head, ``gap`` columns between them."""
    labels = np.zeros((20, 30), dtype=np.uint8)
    for left, top in ((2, 2), (10 + gap, 4)):
        labels[top:18, left : left + 8] = CLOTHES
        labels[top : top + 4, left + 2 : left + 6] = FACE
    return ParsingResult(labels, LIP, np.zeros((20, 5, 8), dtype=np.float32))


def test_people_are_counted_apart_and_side_by_side():
    assert count(two(gap=5).labels, LIP) == count(two(gap=0).labels, LIP) == 2
    assert two(gap=5).to_dict()["people"] == 2
    assert count(np.zeros((9, 9), dtype=np.uint8), LIP) == 0


def test_the_main_figure_stays_alone():
    both = two(gap=5)
    labels, scores = main_figure(both.labels, both.scores)
    alone = ParsingResult(labels, LIP, scores)
    assert count(labels, LIP) == 1
    assert not alone.labels[:, 12:].any()
    assert alone.areas["face"] == 16
    assert alone.probability()[10, 18] < 0.01


def test_a_parser_keeps_the_main_figure(color_parser):
    photo = np.zeros((40, 80, 3), dtype=np.uint8)
    photo[5:35, 5:25, 0] = 255
    photo[10:35, 50:65, 0] = 255
    color_parser.largest = True
    result = color_parser(photo)
    assert result.labels[20, 15] == 2
    assert not result.labels[:, 45:].any()
    assert np.asarray(result.cutout())[20, 57, 3] == 0
