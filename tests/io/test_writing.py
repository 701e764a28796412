import os
import sys

from ssnan.io.writing import ABANDONED_AFTER, sweep, unfinished_prefix


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
