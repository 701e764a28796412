from pathlib import Path

import numpy as np
import pytest

from experiments.bundled.garments import GARMENTS, mean_iou, mixed, ruled_out, weighed
from ssnan.data.folder import Sample
from ssnan.labels import LIP

UPPER, COAT = LIP.classes.index("upper-clothes"), LIP.classes.index("coat")


def photo(coat):
    """Three of four pixels are surely upper-clothes; the last is ``coat`` coat, the rest upper-clothes."""
    probabilities = np.zeros((len(LIP), 2, 2), dtype=np.float32)
    probabilities[UPPER] = [[1, 1], [1, 1 - coat]]
    probabilities[COAT, 1, 1] = coat
    return probabilities


def test_a_garment_that_is_not_shown_is_ruled_out():
    labels = np.full((2, 2), UPPER, dtype=np.uint8)
    assert (ruled_out(photo(0.9), labels).argmax(axis=0) == UPPER).all()
    labels[1, 1] = COAT
    assert ruled_out(photo(0.9), labels).argmax(axis=0)[1, 1] == COAT


def test_a_rare_garment_loses_to_a_frequent_one():
    # Shares with the floor: upper-clothes 3.4 / 4 + 0.01 = 0.86, coat 0.16. So 0.6 to 0.4 becomes 0.096 to 0.344.
    result = weighed(photo(0.6), 1)
    assert result[COAT, 1, 1] == pytest.approx(0.096 / 0.44)
    assert result[GARMENTS].sum(axis=0) == pytest.approx(np.ones((2, 2)))
    assert weighed(photo(0.6), 0) == pytest.approx(photo(0.6))


def test_half_size_decides_between_garments_alone():
    half = photo(0.1)
    half[0] = 5  # whatever it says of the background
    # Between 0.6 and 0.4 at full size and 0.1 and 0.9 at half: √(0.6 · 0.1) = 0.245 and √(0.4 · 0.9) = 0.6.
    assert mixed(photo(0.6), half, 0.5)[COAT, 1, 1] == pytest.approx(0.245 / 0.845, abs=0.001)
    assert mixed(photo(0.6), half, 1)[COAT, 1, 1] == pytest.approx(0.1, abs=0.001)
    assert mixed(photo(0.6), half, 0.5)[GARMENTS].sum(axis=0) == pytest.approx(np.ones((2, 2)))


def test_mean_iou_of_each_change(monkeypatch):
    class Model:
        def __init__(self, coat):
            self.coat = coat

        def decode(self, image):
            return image

        def score(self, pixels):
            return type("Scored", (), {"scores": np.log(photo(self.coat) + 1e-9)})

    class Folder(list):
        label_set = LIP

    labels = np.full((2, 2), UPPER, dtype=np.uint8)
    folder = Folder([Sample("photo", np.zeros((2, 2, 3), dtype=np.uint8), labels)])
    monkeypatch.setattr("experiments.bundled.garments.open_split", lambda data, split: folder)
    found = mean_iou(Model(0.6), Model(0.1), Path("fake"))
    assert found["as it is"] == 75
    assert found["ruled out"] == found["weighed, power 1"] == found["half size, share 1"] == 100
