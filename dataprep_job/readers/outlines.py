"""Shapes that are no upright boxes: the box around an outline, and how readers speak of the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dataprep_job.defects import DefectLog, Place
from dataprep_job.labels import Edges

Point = tuple[float, float]

_QUARTER = 90.0


class Outlines:
    """Notes which shapes became boxes and which were left out, few defects for many shapes."""

    def __init__(self, log: DefectLog) -> None:
        self._log = log

    def hull(self, shape: str, label: str, place: Place) -> None:
        """Note that the box around an outline is used. `shape` is one of few words, such as 'polygon'."""
        what = f"The box around the {shape} is used: {{subject}}."
        self._log.bundle("shape.hull", what).add(place, _subject(label, place))

    def skip(self, shape: str, label: str, place: Place) -> None:
        """Note that a shape was left out. `shape` is one of few words, such as 'polyline'."""
        what = f"A {shape} is no box and is left out: {{subject}}."
        self._log.bundle("shape.skipped", what).add(place, _subject(label, place))


def hull_of_points(points: Iterable[Point]) -> Edges | None:
    """The box around points; None where there are fewer than three, which enclose nothing."""
    corners = list(points)
    if len(corners) < 3:
        return None
    xs, ys = zip(*corners, strict=True)
    return Edges(min(xs), min(ys), max(xs), max(ys))


def hull_of_turned_box(box: Edges, degrees: float, pivot: Point) -> Edges:
    """The upright box around a box that is turned about a point.

    Args:
        box: before it is turned.
        degrees: clockwise as seen on the screen (y points down).
        pivot: the point that stays where it is.
    """
    cosine, sine = _direction(degrees)
    turned = [
        (
            pivot[0] + (x - pivot[0]) * cosine - (y - pivot[1]) * sine,
            pivot[1] + (x - pivot[0]) * sine + (y - pivot[1]) * cosine,
        )
        for x in (box.x0, box.x1)
        for y in (box.y0, box.y1)
    ]
    xs, ys = zip(*turned, strict=True)
    return Edges(min(xs), min(ys), max(xs), max(ys))


def hull_of_ellipse(centre: Point, radii: Point, degrees: float = 0.0) -> Edges:
    """The upright box around an ellipse that is turned about its centre by some degrees."""
    cosine, sine = _direction(degrees)
    half_width = math.hypot(radii[0] * cosine, radii[1] * sine)
    half_height = math.hypot(radii[0] * sine, radii[1] * cosine)
    return Edges(
        centre[0] - half_width, centre[1] - half_height, centre[0] + half_width, centre[1] + half_height
    )


def is_upright(degrees: float) -> bool:
    """Whether a box turned by this is a box again: nothing is lost then."""
    return degrees % _QUARTER == 0


def _direction(degrees: float) -> Point:
    """Cosine and sine, exact for quarter turns."""
    if is_upright(degrees):
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(degrees % 360 // _QUARTER)]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _subject(label: str, place: Place) -> str:
    return f"{label[:80]!r} in {place}"
