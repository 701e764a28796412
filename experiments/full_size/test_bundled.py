import pytest

from experiments.bundled import lighting
from experiments.full_size import bundled
from experiments.full_size.recipes import BUNDLED, piece, tiny
from ssnan.training.cli import train


def test_a_run_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bundled.py", "train", "--minutes", "1", "smal"])
    with pytest.raises(SystemExit):
        bundled.main()
    assert "invalid choice: 'smal'" in capsys.readouterr().err


@pytest.mark.parametrize(("budget", "time"), [(8, "00:00:08:00"), (61.5, "00:01:01:30")])
def test_a_budget_is_the_time_of_the_run(budget, time, tmp_path):
    told = bundled.arguments_in(tmp_path, "small", [], budget)
    assert told[told.index("--trainer.max_time") + 1] == time
    assert "--trainer.max_time" not in bundled.arguments_in(tmp_path, "small", [])


def test_each_run_is_tried_in_two_pieces(tmp_path, monkeypatch):
    calls = []

    def trained(arguments):
        calls.append(arguments)
        if arguments[-1] != "0":
            (tmp_path / "small").mkdir()
            (tmp_path / "small" / "results.json").touch()

    monkeypatch.setattr(bundled, "run", trained)
    bundled.try_out(tmp_path, ["small"])
    assert [arguments[-2:] for arguments in calls] == [["--stop_after", "0"], ["--stop_after", "60"]]
    told = bundled.arguments_in(tmp_path, "small", tiny("small"))
    assert all(arguments[:-2] == told for arguments in calls)
    bundled.try_out(tmp_path, ["small"])
    assert len(calls) == 2  # finished


def test_finished_runs_are_left_and_none_begins_in_the_last_seconds(tmp_path, monkeypatch):
    began = []
    monkeypatch.setattr(bundled, "run", began.append)
    bundled.train(tmp_path, 0.4, [], [])
    assert not began
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "results.json").touch()
    bundled.train(tmp_path, 1, [], [])
    assert [arguments[arguments.index("--output") + 1] for arguments in began] == [str(tmp_path / "base")]
    assert list(BUNDLED) == ["small", "base"]


def test_photos_in_memory_are_relit(recipe, tmp_path, monkeypatch):
    seen = []

    def relit(pixels):
        seen.append(pixels)
        return pixels

    monkeypatch.setattr(lighting, "relit", relit)
    train([*recipe, "--config", piece("light"), "--output", str(tmp_path / "run"), "--trainer.max_epochs", "1"])
    assert seen
    for pixels in seen:
        assert pixels.shape == (2, 3, 65, 65)
        assert pixels.min() >= -1e-5
        assert pixels.max() <= 1 + 1e-5
