"""A person in a photo: a result of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ssnan.parsing.result import ParsingResult, extent_of


@dataclass(frozen=True, eq=False, repr=False)
class Person(ParsingResult):
    """One person of a result: the same photo, where everybody else is background.

    Attributes:
        number: 1 for the largest person.
        score: mean probability of a person over the person's pixels, 0..1; None for a map from a file.
        others: where other people are, bool (H, W).
    """

    number: int = 1
    score: float | None = None
    others: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1), dtype=np.bool_))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels; right and bottom are exclusive."""
        return extent_of(self.mask()) or (0, 0, 0, 0)

    @property
    def parts(self) -> dict[str, int]:
        """The number of pixels of every part."""
        return {name: area for name, area in self.areas.items() if name != self.label_set.classes[0]}

    def probability(self, *parts: str) -> NDArray[np.float32]:
        """As :meth:`ParsingResult.probability`, and 0 on other people."""
        return np.where(self.others, np.float32(0), super().probability(*parts))
