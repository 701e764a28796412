import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import ssnan
from ssnan.labels import LIP
from ssnan.parsing.card import ModelCard, ModelError, read_about
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing

SHIPPED = Path(str(resources.files("ssnan") / "weights"))


@pytest.fixture
def model(tmp_path):
    """A copy of the bundled model; ``model(change)`` changes its card, and gives the path of its ONNX file."""
    for file in SHIPPED.glob("small.*"):
        if file.suffix != ".safetensors":
            shutil.copy(file, tmp_path)

    def changed(change=lambda values: None):
        values = json.loads((tmp_path / "small.json").read_text())
        change(values)
        (tmp_path / "small.json").write_text(json.dumps(values))
        return tmp_path / "small.onnx"

    return changed


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_as_it_is_it_is_read(model, engine):
    assert ssnan.load(model(), engine=engine).label_set == ssnan.load().label_set


def seven(values):
    for key in ("classes", "palette"):
        values["label_set"][key] = values["label_set"][key][:7]
    values["label_set"] |= {"flip_pairs": [], "regions": [], "table_order": []}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (seven, "20 classes, but its card names 7"),
        (lambda v: v["preprocessing"].update(longest_side=-5), "longest_side: expected an integer"),
        (lambda v: v["preprocessing"].update(longest_side=10**9), "longest_side: expected an integer"),
        (lambda v: v["preprocessing"].update(multiple=0), "multiple: expected an integer"),
        (lambda v: v["preprocessing"].update(std=[0.2, 0.0, 0.2]), "std: expected positive"),
        (lambda v: v["preprocessing"].update(mean=[0.5, float("nan"), 0.5]), "mean: expected three numbers"),
        (lambda v: v["preprocessing"].update(mean="abc"), "not a model card"),
        (lambda v: v.update(min_person_confidence=1.5), "min_person_confidence: expected a number from 0 to 1"),
        (lambda v: v.update(min_person_confidence="0.5"), "min_person_confidence: expected a number from 0 to 1"),
        (lambda v: v["label_set"].update(palette=v["label_set"]["palette"][:3]), "one colour for each"),
        (lambda v: v["label_set"]["palette"].__setitem__(3, [0, 0, 999]), "three integers"),
        (lambda v: v["label_set"]["classes"].__setitem__(3, "../../evil"), "without / "),
        (lambda v: v["label_set"]["classes"].__setitem__(3, "\x1b[2J"), "printable"),
        (lambda v: v["weights"].update(onnxruntime="../small.onnx"), "must be beside it"),
        (lambda v: v["weights"].update(onnxruntime="/etc/passwd"), "must be beside it"),
        (lambda v: v["weights"].update(onnxruntime=["small.onnx"]), "must be beside it"),
        (lambda v: v["weights"].update(onnxruntime="other.onnx"), "no such file"),
        (lambda v: v.update(weights=[]), "not a model card"),
        (lambda v: v.update(about=None), "not a model card"),
        (lambda v: v["about"].update(measured=[]), "measured: expected a JSON object"),
        (lambda v: v["about"].update(data=["photos"]), "data: expected a JSON object"),
        (lambda v: v["about"].update(measured={"ccp": {"mean_iou": [0.5]}}), "ccp: expected named numbers"),
    ],
)
def test_a_card_that_cannot_be_is_refused(model, change, reason):
    with pytest.raises(ModelError, match=reason) as caught:
        ssnan.load(model(change), engine="onnxruntime")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"no json", b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b'{"name": 3}'])
def test_what_is_no_card_is_refused(model, content):
    path = model()
    path.with_suffix(".json").write_bytes(content)
    with pytest.raises(ModelError, match="not a model card"):
        ssnan.load(path)


@pytest.mark.parametrize(("engine", "name"), [("onnxruntime", "small.onnx"), ("openvino", "small.xml"),
                                              ("openvino", "small.bin")])  # fmt: skip
@pytest.mark.parametrize("damage", [lambda old: old[:-1000], lambda old: b"text", lambda old: old[:-1] + b"\0\0"])
@pytest.mark.parametrize("checksums", [True, False])
def test_damaged_weights_are_refused(model, engine, name, damage, checksums):
    path = model(None if checksums else lambda values: values.pop("sha256")) if not checksums else model()
    file = path.with_name(name)
    file.write_bytes(damage(file.read_bytes()))
    if checksums:
        with pytest.raises(ModelError, match="checksum"):
            ssnan.load(path, engine=engine)
        return
    try:  # without checksums an engine may take what is whole enough to be run
        ssnan.load(path, engine=engine)
    except ModelError as error:
        assert str(error).isprintable()  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    "scores", [np.full((1, 20, 3, 3), np.nan), np.full((1, 20, 3, 3), np.inf), np.zeros((1, 7, 3, 3))]
)
def test_scores_that_are_none_are_refused(scores):
    parser = Parser(lambda pixels: scores.astype(np.float32), LIP, Preprocessing())
    with pytest.raises(ModelError, match="the network returns"):
        parser(np.zeros((40, 40, 3), dtype=np.uint8))


def test_checksums_are_of_what_is_written(model, tmp_path):
    path = model(lambda values: values.pop("sha256", None))
    card = ModelCard.read(path.with_suffix(".json"))
    assert card.sha256 == {}
    card.write(path.with_suffix(".json"))
    again = ModelCard.read(path.with_suffix(".json"))
    assert set(again.sha256) == {"small.onnx", "small.xml", "small.bin"}
    again.verify("openvino")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["none.onnx", "none.json", 300 * "n" + ".onnx"])
def test_a_model_that_is_not_there_is_named(name):
    with pytest.raises(ModelError, match=f"^{name}: no such file$"):
        ssnan.load(name)


def test_a_model_without_its_card_says_which_file_is_missing(model):
    path = model()
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"small\.json: No such file or directory; a model needs its card beside it"):
        ssnan.load(path)


@pytest.mark.parametrize("threads", [0, -1, 100_000, True])
def test_threads_have_a_limit(threads):
    with pytest.raises(ModelError, match="threads: expected a whole number from 1 to 256"):
        ssnan.load(threads=threads)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a JSON object"),
        ('{"measured": {"ccp": 3}}', "expected named numbers"),
        ('{"data": "photos"}', "data: expected a JSON object"),
    ],
)
def test_notes_that_are_no_notes_are_one_clear_line(tmp_path, content, reason):
    (tmp_path / "about.json").write_text(content)
    with pytest.raises(ModelError, match=reason):
        read_about(tmp_path / "about.json")
