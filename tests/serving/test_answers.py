import numpy as np

from ssnan.labels import LIP
from ssnan.results.result import ParsingResult
from ssnan.serving.answers import keep_parts

CLOTHES, FACE = 5, 13


def test_people_stay_apart_without_their_heads():
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[2:18, 2:18] = CLOTHES
    labels[2:6, 4:8] = labels[2:6, 12:16] = FACE
    kept = keep_parts(ParsingResult(labels, LIP), ("upper-clothes",))
    assert len(kept.people) == 2
    assert all(person.parts.keys() == {"upper-clothes"} for person in kept.people)
