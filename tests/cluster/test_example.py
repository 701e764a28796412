"""The 1,000-photo example of docs/scale.md, with six."""

import re
import runpy
from pathlib import Path

from ssnan.commands import main

ROOT = Path(__file__).parents[2]


def test_a_catalog_from_the_command_to_its_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "thousand.py"))["main"](tmp_path / "build" / "thousand.tar", count=6)
    makefile = (ROOT / "Makefile").read_text()
    [arguments] = re.findall(r"ssnan (catalog build/thousand.*)", makefile)
    assert main(arguments.split()) == 0
    assert "6 parsed" in capsys.readouterr().out
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL)
    exec(block)
    told = capsys.readouterr().out
    assert re.fullmatch(r"6 photos, hair in [1-6] of them\n", told), told
