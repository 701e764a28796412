import json
import shutil
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path

import pytest

from ssnan.commands import main
from ssnan.commands.options import json_file
from ssnan.evaluation.bench import STAGES, spread
from ssnan.parsing.card import find_card

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_spread_by_hand():
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert spread([7.0]) == {"median": 7.0, "low": 7.0, "high": 7.0}


@pytest.fixture
def quick_model(tmp_path):
    """The bundled network on thumbnails."""
    card = find_card("small")
    shutil.copy(card.weights(), tmp_path / "quick.onnx")
    weights, preprocessing = tmp_path / "quick.onnx", replace(card.preprocessing, longest_side=65)
    files = {"onnxruntime": weights}
    replace(card, name="quick", files=files, preprocessing=preprocessing).write(tmp_path / "quick.json")
    return str(weights)


def test_command_reports_every_engine(quick_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ssnan.evaluation.bench.SIZES", ((320, 480), (480, 720)))
    file = tmp_path / "bench.json"
    arguments = ["--model", quick_model, "--runs", "1", "--json", str(file)]
    assert main(["bench", str(EXAMPLES / "camera.png"), *arguments]) == 0
    printed = capsys.readouterr().out
    report = json.loads(file.read_text())
    assert report["engines"].keys() == {"onnxruntime", "openvino"}
    for entry in report["engines"].values():
        assert entry["stages"].keys() == {*STAGES, "total"}
        assert entry["stages"]["total"]["median"] == pytest.approx(sum(entry["stages"][s]["median"] for s in STAGES))
        assert entry["growth"].keys() == {"photo size", "batch", "scales", "files"}
        assert all(second > 0 for values in entry["growth"].values() for second in values.values())
    assert report["photo"] == [512, 512]
    assert "upsample" in printed
    assert "peak memory" in printed


def test_the_card_of_a_model_is_no_place_for_numbers(quick_model, tmp_path, capsys):
    card = (tmp_path / "quick.json").read_text()
    for command in (["bench", "p.jpg"], ["evaluate", "--data", "."]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--model", quick_model, "--json", str(tmp_path / "quick.json")])
        assert ended.value.code == 2
        assert "is the place of the card of quick.onnx; choose another name" in capsys.readouterr().err
    assert (tmp_path / "quick.json").read_text() == card


def test_the_place_of_numbers_is_a_file_of_no_model(quick_model, tmp_path):
    (tmp_path / "quick.txt").touch()
    assert json_file(str(tmp_path / "quick.txt")) == tmp_path / "quick.txt"
    assert json_file(str(tmp_path / "quick")) == tmp_path / "quick"
    for place, problem in ((quick_model, "is a model; choose"), (".", "got the folder '.'"), ("/", "the folder '/'")):
        with pytest.raises(ArgumentTypeError, match=problem):
            json_file(place)


def test_no_such_model_or_photo(capsys):
    assert main(["bench", "none.jpg"]) == 1
    assert "none.jpg: no such file" in capsys.readouterr().err
    assert main(["bench", str(EXAMPLES / "camera.png"), "--model", "nonesuch"]) == 1


def test_a_damaged_model_is_said_to_be_damaged(quick_model, capsys):
    with Path(quick_model).open("ab") as file:
        file.write(b"x")
    assert main(["bench", str(EXAMPLES / "camera.png"), "--model", quick_model]) == 1
    assert "damaged" in capsys.readouterr().err
