from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ssnan.commands import main
from ssnan.export.onnx import compress, export_checkpoint, export_network
from ssnan.labels import LIP
from ssnan.models import SSNAN, Backbone, NeuralAggregation
from ssnan.parsing.card import ModelCard, ModelError
from ssnan.parsing.engines import OnnxRuntimeEngine, OpenVINOEngine
from ssnan.parsing.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    aggregation = NeuralAggregation(7, 3, hidden=16)
    network = SSNAN(7, Backbone("resnet10t", output_stride=16), aggregation=aggregation).eval()
    path = tmp_path_factory.mktemp("export") / "n.onnx"
    export_network(network, path)
    return network, onnxruntime.InferenceSession(str(path)), path


@pytest.mark.parametrize("shape", [(1, 3, 65, 65), (3, 3, 97, 131), (1, 3, 33, 200)])
def test_torch_and_onnx_agree(exported, shape):
    network, session, _ = exported
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    scores, weights = session.run(["scores", "scale_weights"], {"images": images.numpy()})
    with torch.no_grad():
        output = network(images)
    expected = output.scores.numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    np.testing.assert_allclose(weights, output.scale_weights.numpy(), atol=1e-3)
    assert np.abs(expected).max() > 0.01


def test_a_full_disk_leaves_no_half_a_model(exported, tmp_path, monkeypatch):
    network, _, path = exported
    model = onnx.load(path)
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: SimpleNamespace(model_proto=model))

    def full(model, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx, "save_model", full)
    with pytest.raises(OSError, match="No space left"):
        export_network(network, tmp_path / "n.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_json_that_is_no_card_is_not_replaced(tmp_path, capsys):
    (tmp_path / "lip.json").write_text('{"mean_iou": 0.5}')
    assert main(["export", "--model", str(tmp_path / "best.ckpt"), "-o", str(tmp_path / "lip.onnx")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "lip.json: not a model card of ssnan" in line
    assert "the new card would replace lip.json; choose another name for -o, or remove it" in line


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_8_bits_replace_no_file_that_is_not_the_model_s(tmp_path, suffix):
    (tmp_path / "m.onnx").write_bytes(b"weights")
    (tmp_path / f"m{suffix}").write_text("annotations")
    card = ModelCard("m", LIP, Preprocessing(longest_side=64), {"onnxruntime": tmp_path / "m.onnx"})
    with pytest.raises(ModelError, match=rf"m{suffix}: is not a file of this model, and int8 would replace it; choose"):
        compress(card, "int8", [tmp_path])
    assert (tmp_path / f"m{suffix}").read_text() == "annotations"


@pytest.mark.parametrize("ours", [True, False])
def test_a_new_export_removes_what_the_earlier_one_made_for_openvino_and_nothing_else(tmp_path, monkeypatch, ours):
    output = tmp_path / "m.onnx"
    task = SimpleNamespace(network=None, label_set=LIP, preprocessing=Preprocessing(longest_side=64))
    monkeypatch.setattr("ssnan.export.onnx.read_task", lambda checkpoint: task)
    monkeypatch.setattr("ssnan.export.onnx.export_network", lambda network, place: place.write_bytes(b"weights"))
    monkeypatch.setattr("ssnan.export.onnx.flops", lambda network, side: 0)
    before = export_checkpoint(tmp_path / "last.ckpt", output)
    for suffix in (".xml", ".bin"):
        output.with_suffix(suffix).write_bytes(b"")
    if ours:
        replace(before, files=before.files | {"openvino": tmp_path / "m.xml"}).write(tmp_path / "m.json")
    export_checkpoint(tmp_path / "last.ckpt", output)
    left = {"m.onnx", "m.json"} if ours else {"m.onnx", "m.json", "m.xml", "m.bin"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_bf16_halves_the_file_and_rounds_the_weights(lip_root, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "m.onnx"
    export_network(SSNAN(20, Backbone("resnet10t", output_stride=16)).eval(), path)
    full, card = path.stat().st_size, ModelCard("m", LIP, Preprocessing(longest_side=64), {"onnxruntime": path})
    images = torch.randn(1, 3, 65, 65)
    exact = OnnxRuntimeEngine(path)(images.numpy())
    _, reached = compress(card, "bf16", [lip_root])
    assert reached.keys() == {"fp32, onnxruntime", "bf16, onnxruntime"}
    assert path.stat().st_size < 0.6 * full
    for engine in (OnnxRuntimeEngine, OpenVINOEngine):
        error = np.abs(engine(path)(images.numpy()) - exact).max() / np.abs(exact).max()
        assert 1e-5 < error < 0.05
