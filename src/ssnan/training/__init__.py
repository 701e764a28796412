"""Training and validation on Lightning."""

from ssnan.training.task import ParsingTask

__all__ = ["ParsingTask"]
