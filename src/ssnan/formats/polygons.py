"""Parts as polygons with shared borders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from shapely.geometry import LinearRing, LineString, Point, Polygon
from shapely.geometry.polygon import orient
from shapely.ops import substring

from ssnan.results.result import ParsingResult

TOLERANCE = 1.0
"""Pixels; a vertex is removed if its triangle is smaller than the square of this."""


def polygons(result: ParsingResult, tolerance: float = TOLERANCE) -> dict[str, list[Polygon]]:
    """The polygons of every part in the result, with holes, without the background.

    Coordinates are pixels; (0, 0) is the upper left corner of the photo. With a tolerance of 0, a polygon contains
    exactly the centres of its part's pixels. Neighbours share their border at any tolerance.

    Args:
        result: the result.
        tolerance: simplification in pixels, see :data:`TOLERANCE`.
    """
    nobody = np.zeros_like(result.labels)
    return {name: found for (_, name), found in _polygons(result, nobody, tolerance).items()}


def polygons_of_people(result: ParsingResult, tolerance: float = TOLERANCE) -> dict[tuple[int, str], list[Polygon]]:
    """As :func:`polygons`, for every part of every person: keys are the number of the person and the name of the part.
    Parts of nobody have the number 0."""
    return _polygons(result, result.people_map, tolerance)


def _polygons(
    result: ParsingResult, owners: NDArray[np.uint8], tolerance: float
) -> dict[tuple[int, str], list[Polygon]]:
    named = [
        ((int(owner), name), outline)
        for owner in np.unique(owners)
        for class_id, name in enumerate(result.label_set.classes)
        if class_id
        for outline in _outlines((result.labels == class_id) & (owners == owner))
    ]
    outlines = [outline for _, outline in named]
    if tolerance > 0:
        outlines = list(shapely.coverage_simplify(outlines, tolerance))
    found: dict[tuple[int, str], list[Polygon]] = {}
    for (key, _), outline in zip(named, outlines, strict=True):
        found.setdefault(key, []).append(orient(outline))
    return found


def one_ring(polygon: Polygon) -> list[tuple[float, float]]:
    """The vertices of a polygon as one ring, without the repeated first vertex. The shortest cut, there and back, joins
    each hole to the outside, because annotation tools do not support holes. The interior stays the same."""
    ring, holes = LineString(polygon.exterior), list(polygon.interiors)
    while holes:
        # The nearest hole first, so that its cut crosses no other.
        hole = min(holes, key=ring.distance)
        holes.remove(hole)
        here, there = map(Point, shapely.shortest_line(ring, hole).coords)
        ring = LineString([*_round_from(ring, here), *_round_from(hole, there), here.coords[0]])
    return [(float(x), float(y)) for x, y in ring.coords][:-1]


def _round_from(ring: LinearRing | LineString, start: Point) -> list[tuple[float, ...]]:
    """The points of a ring from ``start`` all the way around to ``start``."""
    line = LineString(ring)
    at = line.project(start)
    begun, rest = substring(line, 0, at), substring(line, at, line.length)
    return [*rest.coords, *begun.coords[1:]]


def _outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    if not mask.any():
        return []
    # The frame closes regions that touch the edge of the photo.
    generator = contour_generator(z=np.pad(mask, 1).astype(np.float32), fill_type=FillType.OuterOffset)
    outlines = []
    for points, offsets in zip(*generator.filled(0.5, 2), strict=True):
        rings = [points[begin:end] - 0.5 for begin, end in pairwise(offsets)]
        outlines.append(Polygon(rings[0], rings[1:]))
    return outlines
