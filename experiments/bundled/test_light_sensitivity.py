import numpy as np
import pytest
from PIL import Image

from fakes.lip import write_lip
from ssnan.labels import LIP
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing

cv2 = pytest.importorskip("cv2")
sensitivity = pytest.importorskip("experiments.bundled.light_sensitivity")


def photo():
    return np.random.default_rng(0).integers(20, 200, (40, 30, 3), dtype=np.uint8)


def test_no_strength_and_a_gamma_of_1_change_nothing():
    random = np.random.default_rng(0)
    assert (sensitivity.uneven(0.0)(photo(), random) == photo()).all()
    assert (sensitivity.tones(1.0)(photo(), random) == photo()).all()


def test_uneven_light_makes_some_places_lighter_and_others_darker():
    grey = np.full((40, 30, 3), 100, dtype=np.uint8)
    found = sensitivity.uneven(0.4)(grey, np.random.default_rng(0))
    assert found.min() < 90 < 110 < found.max()
    assert np.abs(np.diff(found.astype(int), axis=0)).max() < 20


def test_tones_by_hand():
    assert sensitivity.tones(0.5)(np.full((1, 1, 3), 64, np.uint8), None)[0, 0, 0] == 128  # 255 √(64/255) = 127.75
    assert sensitivity.tones(2.0)(np.full((1, 1, 3), 51, np.uint8), None)[0, 0, 0] == 10  # 255 · 0.2² = 10.2


def test_a_model_that_looks_at_brightness_changes_and_one_that_does_not_stays(tmp_path):
    root = write_lip(tmp_path / "lip")

    def bright(pixels):
        scores = np.zeros((len(pixels), 20, *pixels[:, 0, ::4, ::4].shape[1:]), dtype=np.float32)
        scores[:, 2] = 1
        scores[:, 13] = 9 * (pixels.mean(axis=1)[:, ::4, ::4] > 0.3)
        return scores

    def hair(pixels):
        scores = bright(pixels) * 0
        scores[:, 2] = 1
        return scores

    plain = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    found = {
        name: sensitivity.measure(Parser(engine, LIP, plain), root) for name, engine in (("b", bright), ("h", hair))
    }
    assert found["b"]["as they are"][1] == 0
    assert found["b"]["uneven light, strength 0.6"][1] > 0
    assert all(changed == 0 for _, changed in found["h"].values())
    assert len({iou for iou, _ in found["h"].values()}) == 1


def test_local_contrast_grows():
    flat = np.full((64, 64, 3), 100, dtype=np.uint8)
    flat[::2] += 4
    grown = sensitivity.equalised(flat, None).astype(int)
    assert np.abs(np.diff(grown[..., 0], axis=0)).max() > 4
    assert Image.fromarray(grown.astype(np.uint8)).mode == "RGB"
