import os
import subprocess
import sys

import pytest

from ssnan.errors import UserError, printable, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä × 3", "plain ä × 3"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\udcff", r"\udcff"),
        ("\u202egpj", r"\u202egpj"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text, shown):
    assert printable(text) == shown
    assert str(UserError(text)) == shown
    assert printable(printable(text)) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a/b-c_1.jpg", "a/b-c_1.jpg"),
        ("ä.jpg", "ä.jpg"),
        ("a b.jpg", "'a b.jpg'"),
        ("", "''"),
        ("\x1b.jpg", r"'\x1b.jpg'"),
    ],
)
def test_names_that_are_not_plain_are_quoted(name, shown):
    assert quoted(name) == shown


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes the streams")
def test_closed_streams_leave_no_traceback(tmp_path, closed):
    code = f"exec {sys.executable} -m ssnan parse nowhere.jpg -o out {closed}"
    ended = subprocess.run(["sh", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
