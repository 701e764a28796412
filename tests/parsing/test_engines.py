import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import ssnan
from ssnan.parsing import engines
from ssnan.parsing.card import ModelError, find_card
from ssnan.parsing.engines import ENGINES, available_cores, choose


@pytest.mark.parametrize(("quota", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8)])
def test_cores_are_what_the_container_hands_out(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(engines, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert available_cores() == cores
    monkeypatch.setattr(engines, "QUOTA", tmp_path / "none")
    assert available_cores() == 8


def test_openvino_is_taken_where_it_is_installed(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert choose()[0] == "openvino"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engine, reason = choose()
    assert engine == "onnxruntime"
    assert "pip install 'ssnan[openvino]'" in reason


def test_openvino_is_not_taken_where_it_was_not_measured(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert choose() == ("onnxruntime", "OpenVINO was not measured on arm64")


@pytest.fixture(params=["onnxruntime", "openvino"])
def small_photos(request):
    """The bundled model with an engine, one thread a photo, on thumbnails."""
    parser = ssnan.load(engine=request.param, threads=1)
    parser.preprocessing = replace(parser.preprocessing, longest_side=65)
    return parser


def test_eight_threads_share_a_parser(small_photos):
    random = np.random.default_rng(0)
    photos = [random.integers(0, 255, (60 + i, 60, 3), dtype=np.uint8) for i in range(24)]
    serial = [small_photos(photo).scores for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        shared = [result.scores for result in pool.map(small_photos, photos)]
    for scores, other in zip(serial, shared, strict=True):
        np.testing.assert_array_equal(scores, other)


def test_scores_outlive_the_next_call(small_photos):
    first = small_photos(np.zeros((60, 60, 3), dtype=np.uint8)).scores
    kept = first.copy()
    small_photos(np.full((60, 60, 3), 200, dtype=np.uint8))
    np.testing.assert_array_equal(first, kept)


def test_a_parser_can_be_pickled(small_photos):
    photo = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    again = pickle.loads(pickle.dumps(small_photos))
    np.testing.assert_array_equal(again(photo).scores, small_photos(photo).scores)


def scores_in_a_process(method, parser, photo):
    """What ``parser`` gives in another process, started by ``method``."""
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply_async(parser, [photo]).get(timeout=100).scores


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_loaded_parser_goes_to_another_process(small_photos, method):
    photo = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    scores = small_photos(photo).scores  # its threads run before the fork
    np.testing.assert_array_equal(scores_in_a_process(method, small_photos, photo), scores)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_parser_that_was_loaded_before_a_fork_works_after_it(small_photos):
    photo = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    before = small_photos(photo).scores
    child = os.fork()
    if child == 0:
        status = 9
        try:
            signal.alarm(60)  # a network that waits for threads it does not have waits for ever
            status = 0 if np.array_equal(small_photos(photo).scores, before) else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(small_photos(photo).scores, before)


FORK = """
import dataclasses, os, signal, sys
import ssnan

parser = ssnan.load(engine=sys.argv[1], threads=2)
parser.preprocessing = dataclasses.replace(parser.preprocessing, longest_side=65)
parser(sys.argv[2])
child = os.fork()
if child == 0:
    signal.alarm(60)
    if sys.argv[3] == "used":
        parser(sys.argv[2])
    sys.exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("use", ["used", "unused"])
def test_a_forked_process_ends(engine, use, tmp_path):
    """Freeing a network of the parent would wait for its threads, which the child does not have."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 60)).save(photo)
    command = [sys.executable, "-W", "ignore", "-c", FORK, engine, str(photo), use]
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    assert subprocess.run(command, env=environment, timeout=120).returncode == 0


FREED = """
import os, signal, sys, threading
import ssnan
signal.signal(signal.SIGCHLD, lambda *_: sys.exit(7))
held = [ssnan.load(engine="openvino")]
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGCHLD)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no such signal on this system")
def test_a_signal_comes_after_another_thread_has_freed_a_network():
    """It ended the process on processors with AMX."""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", FREED], timeout=120).returncode == 7


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"^engine openvino needs openvino; pip install 'ssnan\[openvino\]'$"):
        ssnan.load(engine="openvino")


def test_an_engine_that_finds_no_memory_raises_a_memory_error(monkeypatch, small_photos):
    def outputs(names, pixels):
        raise RuntimeError("Non-zero status code returned while running Conv node. Status Message: std::bad_alloc")

    monkeypatch.setattr(small_photos.engine, "_outputs", outputs)
    with pytest.raises(MemoryError):
        small_photos(np.zeros((60, 60, 3), dtype=np.uint8))


def test_weights_of_the_scales_are_given_by_either_engine():
    """Eq. 3: at every place they sum to one; ONNX Runtime and OpenVINO agree but for 8-bit rounding."""
    pixels = np.random.default_rng(0).normal(size=(1, 3, 97, 65)).astype(np.float32)
    card = find_card("small")
    found = [engine(card.weights(name), 1).scale_weights(pixels) for name, engine in ENGINES.items()]
    for weights in found:
        assert weights.shape[:2] == (1, 2)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() < 0.1
