"""Training and validation with Lightning."""

from ssnan.training.task import ParsingTask

__all__ = ["ParsingTask"]
