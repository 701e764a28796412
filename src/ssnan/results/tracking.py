"""Follow people through a video: their tracks, numbers that stay the same from frame to frame.

As in SORT (Bewley et al., ICIP 2016; https://arxiv.org/abs/1602.00763), the boxes of a frame are assigned to the boxes
expected there, with the largest sum of IoU. A steady speed stands in for the Kalman filter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssnan.results.geometry import extent_of
from ssnan.results.result import ParsingResult

OVERLAP = 0.3
"""The least IoU of a person's box with the box expected for a track."""

KEPT = 30
"""The most frames for which a track waits for its person, behind somebody else for example."""

STEADY = 0.5
"""The share of its speed that a track keeps from frame to frame."""

Floats = NDArray[np.float64]


@dataclass
class _Track:
    """A person seen before.

    Attributes:
        number: from 1, in the order of appearance.
        box: left, top, right and bottom where the person was last seen, (4,).
        speed: pixels per frame, (x, y).
        missing: frames since then.
    """

    number: int
    box: Floats
    speed: Floats
    missing: int = 0

    def expected(self) -> Floats:
        """The box of the next frame, (4,)."""
        return self.box + np.tile(self.speed * (self.missing + 1), 2)

    def seen(self, box: Floats) -> None:
        moved = (box - self.box).reshape(2, 2).mean(axis=0) / (self.missing + 1)
        self.box, self.speed, self.missing = box, STEADY * self.speed + (1 - STEADY) * moved, 0


class Tracker:
    """Gives everybody in the frames of one video a track. Clothes and faces play no part: somebody who is out of sight
    for more than :data:`KEPT` frames comes back with a new track."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._count = 0

    def follow(self, result: ParsingResult) -> ParsingResult:
        """The result of the next frame, with :attr:`Person.track <ssnan.results.result.Person.track>`."""
        numbers = range(1, 1 + result.count)
        boxes = np.array([extent_of(result.people_map == number) for number in numbers], dtype=float).reshape(-1, 4)
        found = self._assigned(boxes)
        lost = [track for track in self._tracks if track not in found]
        for track in lost:
            track.missing += 1
        tracks = [self._started(box) if track is None else track for track, box in zip(found, boxes, strict=True)]
        for track, box in zip(tracks, boxes, strict=True):
            track.seen(box)
        self._tracks = tracks + [track for track in lost if track.missing <= KEPT]
        return replace(result, instances=result.people_map, tracks=tuple(track.number for track in tracks))

    def _assigned(self, boxes: Floats) -> list[_Track | None]:
        """The track of each box, (n, 4); None for a new person."""
        from scipy.optimize import linear_sum_assignment

        found: list[_Track | None] = [None] * len(boxes)
        if self._tracks:
            iou = _iou(boxes, np.array([track.expected() for track in self._tracks]))
            iou[iou < OVERLAP] = 0
            for box, track in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
                if iou[box, track]:
                    found[box] = self._tracks[track]
        return found

    def _started(self, box: Floats) -> _Track:
        self._count += 1
        return _Track(self._count, box, np.zeros(2))


def _iou(boxes: Floats, others: Floats) -> Floats:
    """The IoU of boxes (n, 4) and others (m, 4), (n, m)."""
    corners = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    both: Floats = corners.clip(min=0).prod(axis=2)
    areas, others_areas = ((some[:, 2:] - some[:, :2]).prod(axis=1) for some in (boxes, others))
    return both / (areas[:, None] + others_areas - both)
