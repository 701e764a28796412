import shutil
from dataclasses import replace

import numpy as np
import pytest

from ssnan.labels import LIP
from ssnan.parsing.card import find_card
from ssnan.parsing.parser import Parser
from ssnan.scores.unsure import without_unsure_people
from ssnan.scores.upsampling import labels_at


def scores_with(person, size=4):
    """Hair at the left half with probability ``person``, the background elsewhere, surely."""
    scores = np.full((20, size, size), -40, dtype=np.float32)
    scores[0] = 0
    scores[2, :, : size // 2] = np.log(person / (1 - person))
    scores[0, :, size // 2 :] = 40
    return scores


@pytest.mark.parametrize(("person", "kept"), [(0.6, False), (0.84, False), (0.86, True), (0.99, True)])
def test_the_mean_over_what_is_called_person_decides(person, kept):
    scores = scores_with(person)
    result = without_unsure_people(scores, LIP, 0.85)
    assert (result.argmax(axis=0) != 0).any() == kept
    np.testing.assert_array_equal(result[1:], scores[1:])


def test_the_kinds_of_parts_share_a_person():
    scores = scores_with(0.5)
    scores[1] = scores[3] = scores[2]  # hat, gloves and hair: three quarters together, though no part has half
    scores[2] += 1e-3
    assert (without_unsure_people(scores, LIP, 0.7).argmax(axis=0) == 2).any()
    assert not without_unsure_people(scores, LIP, 0.8).argmax(axis=0).any()


def test_an_emptied_photo_is_not_sure_of_the_background():
    emptied = without_unsure_people(scores_with(0.6), LIP, 0.85)
    shares = np.exp(emptied - emptied.max(axis=0))
    assert (shares[0] / shares.sum(axis=0))[:, 0] == pytest.approx(0.5, abs=0.003)


def test_nothing_is_left_between_the_cells_of_an_emptied_map():
    scores = np.random.default_rng(0).normal(0, 3, (20, 27, 19)).astype(np.float32)
    emptied = without_unsure_people(scores, LIP, 1.0)
    assert labels_at(scores, 256, 144).any()
    assert not labels_at(emptied, 256, 144).any()


def test_a_photo_of_background_stays_as_it_is():
    scores = np.zeros((20, 2, 2), dtype=np.float32)
    scores[0] = 1
    assert without_unsure_people(scores, LIP, 1.0) is scores


def test_a_parser_asks_it_of_every_photo(color_parser):
    photo = np.full((40, 60, 3), 255, dtype=np.uint8)
    photo[8:20, 12:40] = [255, 90, 90]  # hair with a probability of 0.76
    photo[:, 50:] = 0
    asked = Parser(color_parser.engine, LIP, color_parser.preprocessing, min_person_confidence=0.9)
    assert (color_parser(photo).labels == 2).any()
    assert not asked(photo).labels.any()
    [mapped] = asked.map([photo])
    assert not mapped.labels.any()


def test_the_card_brings_it_to_the_parser(tmp_path):
    card = replace(find_card("small"), min_person_confidence=0.25)
    assert Parser.of_card(card, "onnxruntime", 1).min_person_confidence == 0.25
    shutil.copy(card.weights(), tmp_path)
    replace(card, files={"onnxruntime": tmp_path / "small.onnx"}).write(tmp_path / "small.json")
    assert find_card(tmp_path / "small.json").min_person_confidence == 0.25
