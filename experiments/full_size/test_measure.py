from types import SimpleNamespace

import torch

from experiments.full_size import measure
from ssnan.training.cli import command_line
from ssnan.training.results import flops


def test_a_row_for_every_recipe_and_batch_size(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "WARM", 0)
    monkeypatch.setattr(measure, "STEPS", 1)
    monkeypatch.setattr(measure, "matmul_peak", lambda device, side: 1e9)
    measure.speed({"tiny": recipe}, [2, 3], tmp_path / "out")
    chip, head, _, *rows = capsys.readouterr().out.splitlines()
    assert "0.00 TFLOP/s" in chip
    assert len(rows) == 2
    for row, size in zip(rows, ("2", "3"), strict=True):
        cells = dict(zip(measure.HEAD, row.strip("| ").split(" | "), strict=True))
        assert (cells["run"], cells["crop"], cells["batch"]) == ("tiny", "65 × 65", size)
        assert float(cells["forward/s"]) > 0
        assert float(cells["training/s"]) > 0
        assert all(cells[name].endswith("%") for name in (*measure.HEAD[-2:], "share of peak"))
    assert head.count("|") == rows[0].count("|")
    assert not (tmp_path / "out").exists()


def test_operations_are_those_of_both_directions(recipe):
    cli = command_line(recipe)
    cli.datamodule.setup("fit")
    task = cli.model
    task.criterion = measure.ParsingLoss(task.label_set, task.loss)
    batch = {"images": torch.randn(2, 3, 65, 65), "labels": torch.zeros(2, 65, 65, dtype=torch.long)}
    forward = flops(task.network, 65)
    assert 2.5 * forward < measure.training_flops(task, batch) < 3.1 * forward
    assert all(parameter.grad is None for parameter in task.parameters())


def test_the_network_waits_until_the_batch_is_there(monkeypatch):
    clock = [0]

    def takes(time, value=None):
        clock[0] += time
        return value

    data = SimpleNamespace(
        train_dataloader=lambda device: (takes(1, [step]) for step in range(99)),
        on_after_batch_transfer=lambda batch, number: takes(2, {"images": batch}),
    )
    monkeypatch.setattr(measure, "_now", lambda device: clock[0])
    share, work, batch = measure.waiting(data, lambda batch: takes(6), torch.device("cpu"))
    assert (share, work) == (3 / 9, 6)
    assert batch == {"images": [measure.WARM + measure.STEPS - 1]}


def test_a_profile_lists_the_operations_of_a_step(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "WARM", 0)
    measure.profile({"tiny": recipe}, [2], tmp_path / "out")
    printed = capsys.readouterr().out
    assert printed.startswith("tiny, batches of 2")
    assert "convolution" in printed
