import os

import pytest

from ssnan.parsing import engines
from ssnan.parsing.engines import PAYS_FROM, available_cores, choose


@pytest.mark.parametrize(("quota", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8)])
def test_cores_are_what_the_container_hands_out(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(engines, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert available_cores() == cores
    monkeypatch.setattr(engines, "QUOTA", tmp_path / "none")
    assert available_cores() == 8


def test_openvino_is_taken_where_it_pays(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert choose()[0] == choose(PAYS_FROM)[0] == "openvino"
    assert choose(PAYS_FROM - 1)[0] == "onnxruntime"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engine, reason = choose()
    assert engine == "onnxruntime"
    assert "pip install 'ssnan[openvino]'" in reason


def test_openvino_is_not_taken_where_it_was_not_measured(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert choose() == ("onnxruntime", "OpenVINO was not measured on arm64")
