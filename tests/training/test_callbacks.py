from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from lightning import Trainer

from ssnan.training import ParsingTask
from ssnan.training.callbacks import StopAfter


def at(epoch, should_stop=False):
    trainer = Mock(Trainer, should_stop=should_stop, max_epochs=99, current_epoch=epoch)
    trainer.strategy.broadcast = lambda value: value
    return trainer


@pytest.mark.parametrize(
    ("minutes", "epochs", "expected"),
    [
        (10.0, [3, 3, 3, 3], 3),  # a fourth epoch would end after 12 minutes
        (10.0, [5, 1, 1, 1, 1, 1, 1], 6),
        (10.0, [5, 5, 5], 2),
        (1.0, [3, 3], 1),  # one at least
        (None, [3, 3], 2),
    ],
)
def test_stops_before_the_epoch_that_would_end_too_late(minutes, epochs, expected, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("ssnan.training.callbacks.time", SimpleNamespace(monotonic=lambda: clock[0]))
    stop = StopAfter(minutes)
    for number, length in enumerate(epochs):
        trainer = at(number)
        stop.on_train_epoch_start(trainer, Mock(ParsingTask))
        clock[0] += 60 * length
        stop.on_train_epoch_end(trainer, Mock(ParsingTask))
        if trainer.should_stop:
            break
    assert number + 1 == expected
    assert stop.stopped == trainer.should_stop == (minutes is not None)


@pytest.mark.parametrize("trainer", [at(98), at(5, should_stop=True)], ids=["last epoch", "end of max_time"])
def test_a_run_at_its_end_is_not_stopped(trainer):
    stop = StopAfter(0.0)
    stop.on_train_epoch_end(trainer, Mock(ParsingTask))
    assert not stop.stopped
