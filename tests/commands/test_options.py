import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")

PROGRAM = """
import os, signal
from ssnan.commands.options import Stopped, stoppable

signal.signal(signal.SIGHUP, signal.{})
try:
    with stoppable():
        os.kill(os.getpid(), signal.SIGHUP)
    print("went on")
except Stopped as stopped:
    print(stopped.status)
"""


@pytest.mark.parametrize(("before", "printed"), [("SIG_DFL", str(128 + 1)), ("SIG_IGN", "went on")])
def test_a_signal_stops_the_block_unless_it_is_ignored_as_under_nohup(before, printed):
    command = [sys.executable, "-c", PROGRAM.format(before)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == printed
