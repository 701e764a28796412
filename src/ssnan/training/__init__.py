"""Training and validation with Lightning.

:mod:`ssnan.training.cli` reads the ``base`` of a recipe, then the recipe, then the flags, where later values win, and
builds a :class:`ParsingTask` and its data. Lightning then calls these methods of the task, in this order:

- ``setup``: initial weights and the criterion; ``on_load_checkpoint``, if a run continues.
- ``configure_optimizers``: SGD and its schedule.
- In every epoch ``training_step`` for each batch; ``on_validation_epoch_start``, ``validation_step`` for each photo and
  ``on_validation_epoch_end``; ``on_save_checkpoint`` for ``best.ckpt`` and ``last.ckpt``.
"""

from ssnan.training.task import ParsingTask

__all__ = ["ParsingTask"]
