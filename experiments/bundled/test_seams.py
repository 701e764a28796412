import numpy as np

from experiments.bundled.seams import without_seams
from ssnan.labels import LIP

UPPER, COAT, PANTS = (LIP.classes.index(name) for name in ("upper-clothes", "coat", "pants"))


def two_kinds(step: int):
    """A coat of 12 columns, whose last 4 are called upper-clothes, and a photo whose colour changes there by a step."""
    scores = np.zeros((len(LIP), 10, 12), dtype=np.float32)
    scores[COAT, :, :8], scores[UPPER, :, 8:] = 2, 1
    photo = np.full((40, 48, 3), 60, dtype=np.uint8)
    photo[:, 32:] += step
    return scores, photo


def test_kinds_that_meet_without_an_edge_become_the_likelier_one():
    scores, photo = two_kinds(step=2)
    assert (without_seams(scores, photo, [UPPER, COAT], 0.03).argmax(axis=0) == COAT).all()


def test_an_edge_parts_two_garments():
    scores, photo = two_kinds(step=20)
    np.testing.assert_array_equal(without_seams(scores, photo, [UPPER, COAT], 0.03), scores)


def test_other_classes_keep_what_they_have():
    scores, photo = two_kinds(step=2)
    np.testing.assert_array_equal(without_seams(scores, photo, [PANTS, COAT], 0.03), scores)
