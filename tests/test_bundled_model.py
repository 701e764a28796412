"""The weights that ship, on the photographs that ship."""

from pathlib import Path

import numpy as np
import pytest

import ssnan
from ssnan.parsing.card import find_card

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def hopper():
    return ssnan.load(engine="onnxruntime")(EXAMPLES / "grace_hopper.jpg")


def test_finds_the_face_where_it_is(hopper):
    assert hopper.labels.shape == (600, 512)
    y, x = np.argwhere(hopper.mask("face")).mean(axis=0)
    assert 100 < y < 320
    assert 180 < x < 330
    assert hopper.mask("coat", "upper-clothes").mean() > 0.15


def test_engines_agree(hopper):
    other = ssnan.load(engine="openvino")(EXAMPLES / "grace_hopper.jpg")
    assert (other.labels == hopper.labels).mean() > 0.93


def test_mirrored_photo_gives_the_mirrored_map():
    parser = ssnan.load()
    photo = ssnan.io.images.read_rgb(EXAMPLES / "astronaut.png")
    labels, mirrored = parser(photo).labels, parser(photo[:, ::-1].copy()).labels[:, ::-1]
    assert (ssnan.LIP.flip_permutation[mirrored] == labels).mean() > 0.8


def test_card_says_what_it_is():
    card = find_card("small")
    assert card.label_set == ssnan.LIP
    assert sum(file.stat().st_size for file in card.weights().parent.iterdir()) < 49e6
    assert card.weights().stat().st_size <= 12e6
    assert card.weights().with_suffix(".safetensors").stat().st_size <= 24e6  # what training can start from
    assert "research" in card.about["licence"].lower()
    datasets = (
        "ccp-lip",
        "ccp-corrected",
        "viton-lip",
        "celeba-faces",
        "selfie-people",
        "selfies",
        "street-people",
        "lip-marks",
        "lip-photos",
        "nobody",
    )
    measured = {f"{data} val, {engine}" for data in datasets for engine in ("onnxruntime", "openvino")}
    assert card.about["measured"].keys() == measured
