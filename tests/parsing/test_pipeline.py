import threading
import time

import numpy as np
import pytest

from ssnan.io.opening import ImageError
from ssnan.parsing.pipeline import in_stages, map_ahead
from ssnan.results.result import ParsingResult


def test_order_is_kept_and_work_is_bounded():
    drawn = []

    def items():
        for number in range(20):
            drawn.append(number)
            yield number

    made = map_ahead(lambda n: (time.sleep(0.001 * (n % 3)), n * n)[1], items(), depth=2)
    assert next(made) == 0
    assert len(drawn) <= 4
    assert list(made) == [n * n for n in range(1, 20)]


def test_work_happens_beside_the_caller():
    threads = set(map_ahead(lambda _: threading.get_ident(), range(4)))
    assert threads != {threading.get_ident()}
    assert len(threads) == 1


def test_only_the_middle_stage_runs_in_the_callers_thread():
    def stage(name):
        return lambda given: [*given, (name, threading.get_ident() == caller)]

    caller = threading.get_ident()
    made = list(in_stages(stage("read"), stage("score"), stage("finish"), ([number] for number in range(5))))
    assert made == [[number, ("read", False), ("score", True), ("finish", False)] for number in range(5)]


def test_errors_come_in_their_turn_and_no_thread_stays():
    before = threading.active_count()
    made = map_ahead(lambda n: 1 // (n - 2), range(5))
    assert [next(made), next(made)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(made)
    for _ in map_ahead(str, range(100)):
        break  # given up
    assert threading.active_count() == before


def test_map_is_call_for_each_in_order(color_parser, tmp_path):
    photos = [np.full((30 + n, 20, 3), (255, 0, 0) if n % 2 else 0, dtype=np.uint8) for n in range(7)]
    images = [*photos[:3], tmp_path / "none.jpg", *photos[3:]]
    results = list(color_parser.map(images))
    error = results.pop(3)
    assert isinstance(error, ImageError)
    for photo, result in zip(photos, results, strict=True):
        assert isinstance(result, ParsingResult)
        np.testing.assert_array_equal(result.labels, color_parser(photo).labels)
