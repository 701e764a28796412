import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """The real command on a free port; gives a function that starts one, which ends with the module."""
    started = []

    def start(*options):
        command = [sys.executable, "-m", "ssnan", "serve", "--port", "0", "--threads", "1", *options]
        environment = os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("serve"))}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        started.append(process)
        line = process.stdout.readline()
        assert line.startswith("http://"), line + process.stdout.read()
        return re.match(r"http://\S+", line)[0], process

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) in (143, -15)
        process.stdout.close()
