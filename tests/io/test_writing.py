import errno
import os
import sys
from pathlib import Path

import pytest

from ssnan.io.writing import ABANDONED_AFTER, appearing_together, sweep, unfinished_prefix, write_text


def test_where_a_process_cannot_be_looked_for_age_decides(tmp_path, monkeypatch):
    """On Windows, os.kill(process, 0) sends a Ctrl-C."""
    young, old = tmp_path / f"{unfinished_prefix()}young", tmp_path / f"{unfinished_prefix()}old"
    for path in (young, old):
        path.touch()
    os.utime(old, (0, old.stat().st_mtime - ABANDONED_AFTER - 60))
    sent = []
    monkeypatch.setattr(os, "kill", lambda *told: sent.append(told))
    monkeypatch.setattr(sys, "platform", "win32")
    sweep(tmp_path)
    assert sent == []
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


def fail_in_the_second_file(folder, error):
    with appearing_together() as written_at:
        written_at(folder / "first").write_bytes(b"first")
        written_at(folder / "second")
        raise error


@pytest.mark.parametrize(
    ("error", "named"),
    [
        # The system names a file that cannot be opened, but none that cannot be written.
        (OSError(errno.ENOSPC, "No space left on device"), "second"),
        (OSError(errno.EIO, "Input/output error", "photo.jpg"), "photo.jpg"),
        (OSError("damaged"), None),
    ],
)
def test_a_full_disk_is_blamed_on_the_file_that_is_written(tmp_path, monkeypatch, error, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=str(error.args[-1])):
        fail_in_the_second_file(Path(), error)
    assert error.filename == named
    assert list(tmp_path.iterdir()) == []


def convert_in(folder):
    with appearing_together() as written_at:
        for name in ("corrected", "new", "taken"):
            written_at(folder / name).write_text("converted")


def test_a_failed_move_keeps_the_files_that_were_there(tmp_path):
    (tmp_path / "corrected").write_text("by hand")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        convert_in(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"corrected", "taken"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_pipe_or_a_device_is_not_replaced(tmp_path):
    """Root could replace /dev/null."""
    os.mkfifo(tmp_path / "numbers.json")
    with pytest.raises(OSError, match="is not a regular file"):
        write_text(tmp_path / "numbers.json", "{}")
    assert (tmp_path / "numbers.json").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1
