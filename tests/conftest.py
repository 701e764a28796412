import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker is one of several; threads of their own would only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from fakes.lip import write_lip
from ssnan.labels import LIP
from ssnan.parsing.parser import Parser
from ssnan.parsing.preprocessing import Preprocessing

# nohup and shells that run pytest in the background ignore signals, and the programs that tests start would too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # Windows has none
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def lip_root(tmp_path):
    return write_lip(tmp_path / "lip")


@pytest.fixture
def color_parser():
    """A parser whose "network" calls red pixels hair, blue ones face, and all else background."""

    def engine(pixels):
        red, green, blue = np.moveaxis(pixels[:, :, ::4, ::4], 1, 0)
        scores = np.full((len(pixels), 20, *red.shape[1:]), -9, dtype=np.float32)
        scores[:, 0] = 0
        scores[:, 2] = 8 * (red - np.maximum(green, blue)) - 4
        scores[:, 13] = 8 * (blue - np.maximum(red, green)) - 4
        return scores

    return Parser(engine, LIP, Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
