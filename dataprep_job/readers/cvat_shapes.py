"""The shapes of CVAT XML (`<box>`, `<polygon>`, …) as upright boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

from dataprep_job.defects import DefectLog, at_line
from dataprep_job.labels import Box, Edges
from dataprep_job.lined_xml import Element
from dataprep_job.readers.json_values import corner_and_size, number
from dataprep_job.readers.outlines import (
    Outlines,
    Point,
    hull_of_ellipse,
    hull_of_points,
    hull_of_turned_box,
    is_upright,
)

_SKIPPED = frozenset(("polyline", "points", "cuboid", "skeleton", "tag"))
_MASK = ("left", "top", "width", "height")
SHAPES = _SKIPPED | {"box", "polygon", "ellipse", "mask"}


@dataclass(slots=True)
class Shapes:
    """The shapes of one picture: those that became boxes, and how many could not be used."""

    boxes: list[Box] = field(default_factory=list)
    bad: int = 0


class ShapeReader:
    """Turns shape elements into boxes. What cannot be one becomes a defect and costs only itself."""

    def __init__(self, path: str, log: DefectLog) -> None:
        self._path = path
        self._log = log
        self._outlines = Outlines(log)

    def read(self, element: Element, label: str, shapes: Shapes) -> None:
        """Add what one shape amounts to; other elements (`<attribute>`) say nothing about boxes."""
        shape = element.tag
        if shape not in SHAPES:
            return
        place = at_line(self._path, element.line)
        name = label.strip()
        if shape in _SKIPPED:
            self._outlines.skip(shape, name, place)
            return
        edges = _edges(element) if name else None
        if not name:
            self._log.add("cvat.bad-shape", place, f"The {shape} has no label.")
        elif edges is None or not edges.is_finite():
            said = ", ".join(f"{key}={value[:40]!r}" for key, value in element.attributes.items())[:200]
            message = f"The {shape} {name[:80]!r} has no usable coordinates: {said}."
            self._log.add("box.not-a-number", place, message)
        else:
            if shape != "box":
                self._outlines.hull(shape, name, place)
            elif not is_upright(_turn(element) or 0.0):
                self._outlines.hull("turned box", name, place)
            shapes.boxes.append(Box(name, edges, place))
            return
        shapes.bad += 1


def _edges(element: Element) -> Edges | None:
    """The upright box around a shape; None where a coordinate is missing or no number."""
    turn = _turn(element)
    if turn is None:
        return None
    match element.tag:
        case "box":
            corners = _numbers(element, "xtl", "ytl", "xbr", "ybr")
            if corners is None:
                return None
            box = Edges(*corners)
            return box if turn % 180 == 0 else hull_of_turned_box(box, turn, _centre(box))
        case "ellipse":
            values = _numbers(element, "cx", "cy", "rx", "ry")
            if values is None:
                return None
            return hull_of_ellipse((values[0], values[1]), (values[2], values[3]), turn)
        case "mask":
            return corner_and_size([element.attributes.get(name) for name in _MASK])
        case _:
            points = _points(element.attributes.get("points", ""))
            return None if points is None else hull_of_points(points)


def _turn(element: Element) -> float | None:
    """Degrees, clockwise; None where what is written is no number."""
    return number(element.attributes.get("rotation", "").strip() or "0")


def _centre(box: Edges) -> Point:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def _numbers(element: Element, *names: str) -> list[float] | None:
    found = [value for name in names if (value := number(element.attributes.get(name))) is not None]
    return found if len(found) == len(names) else None


def _points(text: str) -> list[Point] | None:
    """Points written as `x,y;x,y;…`; None where one of them is none."""
    points: list[Point] = []
    for pair in text.strip().strip(";").split(";"):
        x, comma, y = pair.partition(",")
        left, top = number(x), number(y)
        if not comma or left is None or top is None:
            return None
        points.append((left, top))
    return points
