import os
import signal
import subprocess
import sys

import pytest
from rich.table import Table

from ssnan.commands.options import print_tables

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


TWICE = """
import os, signal, time
from ssnan.commands.options import Stopped, stoppable

try:
    with stoppable():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            for _ in range({}):
                os.kill(os.getpid(), signal.SIGINT)
            print("cleaned up", flush=True)
except Stopped as stopped:
    os.kill(os.getpid(), signal.SIGINT) if {} == 0 else None
    print(stopped.status)
"""


@pytest.mark.parametrize("more", [0, 1])
def test_a_second_signal_does_not_disturb_the_end(more):
    done = subprocess.run([sys.executable, "-c", TWICE.format(more, more)], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout.split("\n")[:2], done.stderr) == (0, ["cleaned up", "130"], "")


def test_a_third_signal_ends_the_process():
    done = subprocess.run([sys.executable, "-c", TWICE.format(2, 2)], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (130, "")


def test_names_in_tables_are_plain_text(capsys):
    table = Table("[hair]", title="[/]small.onnx")
    table.add_row(":cat:.onnx")
    print_tables([table])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("[hair]", "[/]small.onnx", ":cat:.onnx"))


def test_a_closed_pipe_ends_tables_with_141():
    ends, closed = os.pipe()
    os.close(ends)
    done = subprocess.run([sys.executable, "-m", "ssnan", "models"], stdout=closed, stderr=subprocess.PIPE)
    os.close(closed)
    assert (done.returncode, done.stderr) == (141, b"")
