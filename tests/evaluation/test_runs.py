from dataclasses import replace

import pytest

from fakes.runs import write_run
from ssnan.commands import main
from ssnan.labels import LIP


def ours(hair):
    """LIP with another name of its hair, and without pairs."""
    classes = [hair if name == "hair" else name for name in LIP.classes]
    return replace(LIP, name="ours", classes=tuple(classes), flip_pairs=())


@pytest.mark.parametrize("label_set", [LIP, ours("hair"), ours("short hair"), ours("[hair")])
def test_a_table_of_runs_stands_in_for_them(label_set, tmp_path):
    runs = tmp_path / "runs"
    write_run(runs / "neural" / "seed0", 4, label_set)
    write_run(runs / "average", 5, label_set)
    assert main(["report", str(runs), "-o", str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out" / "runs.csv"), "-o", str(tmp_path / "again")]) == 0
    for name in ("report.md", "runs.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_what_is_no_table_of_runs_is_refused(runs, tmp_path, capsys):
    assert main(["report", str(runs), "-o", str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out" / "summary.csv")]) == 1
    assert "summary.csv: not a table that 'ssnan report' wrote" in capsys.readouterr().err
    table = tmp_path / "out" / "runs.csv"
    *rows, last = table.read_text().splitlines()
    table.write_text("\n".join([*rows, last + " cut"]))  # as older versions wrote "hair cut"
    assert main(["report", str(table)]) == 1
    assert "'cut' is not a class of the label set" in capsys.readouterr().err
