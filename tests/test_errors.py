import os
import pickle
import subprocess
import sys

import pytest

from ssnan.errors import UserError, cause, lacks, of_file, printable, quoted, unknown


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


def test_the_first_unknown_name_is_told_with_what_was_meant():
    known = ("hair", "face")
    assert (
        unknown("part", ["face", "hare"], known) == "no part 'hare'; did you mean 'hair'?; expected one of hair, face"
    )
    assert unknown("part", ["face"], known) is None
    assert unknown("part", [13], known) == "no part '13'; expected one of hair, face"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "x"), "No space left on device"),
        (ValueError("one\ntwo"), "one"),
        (ValueError(" "), "ValueError"),
        (ValueError("a" * 300), "a" * 200),
        (pickle.UnpicklingError("set weights_only=False"), "not a file of weights and plain values"),
    ],
)
def test_a_cause_is_one_short_line(error, told):
    assert cause(error) == told


def test_a_system_s_error_names_its_file_or_else_the_one_at_hand():
    assert of_file(OSError(2, "No such file", "a b"), "c") == "'a b': No such file"
    assert of_file(OSError(2, "No such file"), "c") == "c: No such file"


def test_a_package_that_is_not_there_is_named_with_its_extra():
    error = ModuleNotFoundError("no", name="av")
    assert lacks("a video", error, "video") == "a video needs av; pip install 'ssnan[video]'"
