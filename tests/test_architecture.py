import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ssnan.models import SSNAN, Backbone, NeuralAggregation

TOOL = Path(__file__).parent.parent / "tools" / "architecture.py"


def test_the_drawing_says_what_the_modules_did():
    network = SSNAN(20, Backbone("resnet10t", stage=2), (0.5, 1.0), NeuralAggregation(20, 2, hidden=6))
    drawn = runpy.run_path(str(TOOL))["draw"](network, (65, 49))
    texts = [element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    for expected in ("3 × 33 × 25", "20 × 9 × 7", "concatenated: 40 × 9 × 7", "6 @ 3 × 3", "2 @ 3 × 3"):
        assert texts.count(expected) >= 1, (expected, texts)
    assert texts.count("loss") == 3


def test_other_networks_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["architecture.py", "lip/segnet", "-o", str(tmp_path / "figure.svg")])
    with pytest.raises(SystemExit):
        runpy.run_path(str(TOOL), run_name="__main__")
    assert "expected a recipe of an SSNAN" in capsys.readouterr().err
    assert not (tmp_path / "figure.svg").exists()
