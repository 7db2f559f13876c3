"""The regions of Label Studio (`rectanglelabels`, `polygonlabels`, …) as upright boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dataprep_job.defects import DefectLog, Place
from dataprep_job.labels import Box, Edges
from dataprep_job.readers.json_values import class_name, number, picture_size, points_of, shown
from dataprep_job.readers.outlines import (
    Outlines,
    hull_of_ellipse,
    hull_of_points,
    hull_of_turned_box,
    is_upright,
)

Size = tuple[int, int]

_SHAPES = {
    "rectangle": "rectangle",
    "rectanglelabels": "rectangle",
    "polygon": "polygon",
    "polygonlabels": "polygon",
    "ellipse": "ellipse",
    "ellipselabels": "ellipse",
}
_SKIPPED = {
    "brush": "brush stroke",
    "brushlabels": "brush stroke",
    "bitmask": "mask",
    "bitmasklabels": "mask",
    "keypoint": "key point",
    "keypointlabels": "key point",
    "vector": "vector",
    "vectorlabels": "vector",
    "videorectangle": "video region",
    "cuboid": "cuboid",
    "cuboidlabels": "cuboid",
}
_GEOMETRY = ("x", "y", "width", "height", "rotation", "radiusX", "radiusY", "points")


@dataclass(frozen=True, slots=True)
class Region:
    """One region of an annotation.

    Attributes:
        shape: 'rectangle', 'polygon' or 'ellipse', or the word for one that is skipped.
        is_skipped: whether it can be no box.
        labels: as written: a list of names. None where the region has geometry only.
        value: its geometry, in per cent.
        size: of the picture, as far as it is said.
    """

    shape: str
    is_skipped: bool
    labels: Any
    value: dict[str, Any]
    size: Size | None
    place: Place


def region_of_result(result: dict[str, Any], place: Place) -> Region | None:
    """The region in an element of `result`; None for choices, ratings and other things that are no region."""
    kind, value = result.get("type"), result.get("value")
    if not isinstance(kind, str) or not isinstance(value, dict):
        return None
    # `image_rotation` is how the picture was turned on the screen; the values are not turned with it.
    return _region(kind.lower(), value, result, place)


def regions_of_control(control: str, values: list[Any], place: Place) -> Iterator[Region]:
    """The regions in one list of JSON-MIN, which does not name their types."""
    for index, value in enumerate(values):
        if isinstance(value, dict):
            kind = next((key for key in value if key in _SHAPES or key in _SKIPPED), "labels")
            written = " ".join(control.split()).replace("~", "~0").replace("/", "~1")
            inner = Place(place.file, f"{place.where or ''}/{written}/{index}")
            region = _region(kind, value, value, inner)
            if region is not None:
                yield region


def is_region(value: Any) -> bool:
    """Whether a value of JSON-MIN is a region."""
    return isinstance(value, dict) and "original_width" in value and "original_height" in value


def _region(kind: str, value: dict[str, Any], sizes: dict[str, Any], place: Place) -> Region | None:
    labels = value.get(kind) if kind.endswith("labels") else None
    if kind == "labels":
        # Separate controls for shape and label: the geometry tells which shape it is.
        kind = _kind_by_geometry(value) or kind
    is_skipped = kind in _SKIPPED
    shape = _SKIPPED.get(kind) or _SHAPES.get(kind)
    if shape is None:
        return None
    size = picture_size(sizes.get("original_width"), sizes.get("original_height"))
    return Region(shape, is_skipped, labels, value, size, place)


def _kind_by_geometry(value: dict[str, Any]) -> str | None:
    if "points" in value:
        return "polygon"
    if "radiusX" in value:
        return "ellipse"
    if "rle" in value:
        return "brush"
    if "width" in value and "x" in value:
        return "rectangle" if "height" in value else "keypoint"
    return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one annotator says about one picture.

    Attributes:
        boxes: in pixels, or as shares of the picture where its size is not said.
        bad: how many regions could not be used.
        size: of the picture.
        place: of the annotation.
    """

    boxes: tuple[Box, ...]
    bad: int
    size: Size | None
    place: Place

    def agrees_with(self, other: Answer) -> bool:
        """Whether both mark the same objects, but for two pixels or one per cent of the picture."""
        if len(self.boxes) != len(other.boxes) or bool(self.bad) != bool(other.bad):
            return False
        mine, theirs = self._shares(), other._shares()
        width, height = self.size or other.size or (0, 0)
        leeway = (
            max(_LEEWAY_SHARE, _LEEWAY_PIXELS / width if width else 0),
            max(_LEEWAY_SHARE, _LEEWAY_PIXELS / height if height else 0),
        )
        if len(mine) > _MATCHED_ONE_BY_ONE:
            pairs = zip(sorted(mine), sorted(theirs), strict=True)
            return all(_is_close(one, another, leeway) for one, another in pairs)
        for one in mine:
            match = next((another for another in theirs if _is_close(one, another, leeway)), None)
            if match is None:
                return False
            theirs.remove(match)
        return True

    def _shares(self) -> list[tuple[str, Edges]]:
        width, height = self.size or (1, 1)
        return [(box.name, box.edges.ordered().relative(width, height)) for box in self.boxes]


_LEEWAY_PIXELS = 2.0
_LEEWAY_SHARE = 0.01
_ROUNDING = 1e-9
_MATCHED_ONE_BY_ONE = 300
"""With more boxes, comparing each with each would take too long; they are compared in order."""


def _is_close(one: tuple[str, Edges], other: tuple[str, Edges], leeway: tuple[float, float]) -> bool:
    pairs = enumerate(zip(one[1], other[1], strict=True))
    return one[0] == other[0] and all(abs(a - b) <= leeway[at % 2] + _ROUNDING for at, (a, b) in pairs)


class RegionReader:
    """Turns the regions of an annotation into boxes. What cannot be one becomes a defect."""

    def __init__(self, log: DefectLog) -> None:
        self._log = log
        self._outlines = Outlines(log)

    def read(self, regions: list[Region], place: Place) -> Answer:
        """What an annotation amounts to."""
        size = next((region.size for region in regions if region.size is not None), None)
        # Separate controls for shape and label say everything twice, once without the label.
        labelled: set[str] = set()
        if any(region.labels is None for region in regions):
            labelled = {_geometry(region) for region in regions if region.labels is not None}
        boxes: list[Box] = []
        bad = 0
        for region in regions:
            if region.labels is None and labelled and _geometry(region) in labelled:
                continue
            if region.is_skipped:
                name = _names(region.labels)
                self._outlines.skip(region.shape, name[0] if name else "", region.place)
                continue
            box = self._box(region, size)
            if box is None:
                bad += 1
            else:
                boxes.append(box)
        return Answer(tuple(boxes), bad, size, place)

    def _box(self, region: Region, size: Size | None) -> Box | None:
        names = _names(region.labels)
        if not names:
            message = f"The label of the {region.shape} is {shown(region.labels)}."
            self._log.add("labelstudio.bad-region", region.place, message)
            return None
        if len(names) > 1:
            message = f"The {region.shape} has {len(names)} labels: {', '.join(names)[:200]}."
            self._log.add("labelstudio.several-labels", region.place, message)
            return None
        turn = number(region.value.get("rotation") or 0)
        if turn is not None and turn % 360 and region.shape != "polygon" and size is None:
            message = f"The {region.shape} {names[0][:80]!r} is turned, and the picture's size is not said."
            self._log.add("labelstudio.bad-region", region.place, message)
            return None
        edges = None if turn is None else _edges(region, turn, size or (1, 1))
        if edges is None or not edges.is_finite():
            said = {key: region.value[key] for key in _GEOMETRY if key in region.value}
            values = ", ".join(f"{key}: {shown(value)}" for key, value in said.items())
            message = f"The {region.shape} {names[0][:80]!r} has no usable numbers: {values[:200]}."
            self._log.add("box.not-a-number", region.place, message)
            return None
        if region.shape != "rectangle":
            self._outlines.hull(region.shape, names[0], region.place)
        elif not is_upright(turn or 0.0):
            self._outlines.hull("turned box", names[0], region.place)
        return Box(names[0], edges, region.place)


def _names(labels: Any) -> list[str]:
    """The names in a list of labels, each once; none where one of them cannot be a name."""
    names = [class_name(label) for label in (labels if isinstance(labels, list) else [labels])]
    usable = [name for name in names if name is not None]
    return list(dict.fromkeys(usable)) if len(usable) == len(names) else []


def _geometry(region: Region) -> str:
    return repr([region.value.get(key) for key in _GEOMETRY])


def _edges(region: Region, turn: float, size: Size) -> Edges | None:
    """The upright box around a region in units of `size`; None where a number is missing."""
    if region.shape == "polygon":
        points = points_of(region.value.get("points"))
        if points is None:
            return None
        return hull_of_points((x * size[0] / 100, y * size[1] / 100) for x, y in points)
    if region.shape == "ellipse":
        x, y, radius_x, radius_y = _scaled(region.value, ("x", "y", "radiusX", "radiusY"), size)
        if x is None or y is None or radius_x is None or radius_y is None:
            return None
        return hull_of_ellipse((x, y), (radius_x, radius_y), turn)
    x, y, width, height = _scaled(region.value, ("x", "y", "width", "height"), size)
    if x is None or y is None or width is None or height is None:
        return None
    box = Edges(x, y, x + width, y + height)
    return hull_of_turned_box(box, turn, (x, y)) if turn % 360 else box


def _scaled(value: dict[str, Any], keys: tuple[str, ...], size: Size) -> list[float | None]:
    """Values given in per cent of the width and, every other one, of the height."""
    numbers = [number(value.get(key)) for key in keys]
    return [None if one is None else one * size[at % 2] / 100 for at, one in enumerate(numbers)]
