"""LabelMe: one JSON file a picture; points are pixels, 0-based, in the frame in which LabelMe showed it.

`shapes[{label, points, shape_type}]`, `imagePath`, `imageWidth`, `imageHeight`; `imageData`, the picture
itself, is ignored. https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname, join, normpath
from typing import Any

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, stem
from dataprep_job.defects import DefectLog, Place
from dataprep_job.json_stream import JsonEntry
from dataprep_job.labels import Box, Edges, LabelledImage
from dataprep_job.readers.json_values import class_name, picture_size, points_of, shown
from dataprep_job.readers.outlines import Outlines, Point, hull_of_points
from dataprep_job.readers.reading import Findings, JsonFile
from dataprep_job.spelling import plain

MAX_SHAPES = 100_000

_SKIPPED = {"line": "line", "linestrip": "line strip", "point": "point", "points": "point"}
_SIGNS = ("imagePath", "imageData", "imageHeight")


class LabelMeFormat:
    """Reads the JSON files of LabelMe and of the tools that write the same."""

    name = "labelme"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._outlines = Outlines(log)
        self._size_missing = log.bundle("labelme.size-missing", "No usable width and height: {subject}.")
        self._other_picture = log.bundle(
            "labelme.image-path", "imagePath names another picture than the file itself: {subject}."
        )
        self._names: set[str] = set()

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether there are shapes with points, or an empty list of them beside a picture."""
        sections = {entry.section for entry in head}
        if "shapes" not in sections:
            return False
        return any(map(_is_shape, head)) or any(sign in sections for sign in _SIGNS)

    def read(self, file: JsonFile) -> None:
        """Read the annotation of one picture."""
        parts = _Parts()
        for entry in file.entries():
            if entry.section == "shapes":
                self._read_shapes(file, entry, parts)
            elif entry.index is None and entry.section in ("imagePath", "imageWidth", "imageHeight"):
                parts.values[entry.section] = entry.value
        if file.is_broken and "imagePath" not in parts.values:
            own = self._own_pictures(file)
            self._findings.lose(own[0] if len(own) == 1 else None)
            return
        image = self._picture_of(file, parts.values.get("imagePath"))
        if image is None or file.is_broken or parts.is_bad or (parts.bad and not parts.boxes):
            self._findings.lose(image)
            return
        size = picture_size(parts.values.get("imageWidth"), parts.values.get("imageHeight"))
        if size is None:
            self._size_missing.add(Place(file.path), file.path)
        self._names.update(box.name for box in parts.boxes)
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=tuple(parts.boxes),
                declared_size=size,
                split=split_of_folders(file.path) or split_of_folders(image),
                place=Place(file.path),
                format=self.name,
            )
        )

    def finish(self) -> None:
        """Classes have no order of their own here."""
        self._findings.order_classes(sorted(self._names))

    def _own_pictures(self, file: JsonFile) -> list[str]:
        return self._files.related(self._files.pictures_with_stem(stem(file.path)), file.path)

    def _picture_of(self, file: JsonFile, written: Any) -> str | None:
        """The picture at `imagePath`, else the one that bears the file's own name, near ones first."""
        own = self._own_pictures(file)
        if not isinstance(written, str) or not written.strip():
            if len(own) == 1:
                self._other_picture.add(Place(file.path, "/imagePath"), f"{shown(written)} in {file.path}")
                return own[0]
            message = f"The imagePath is {shown(written)}: the picture cannot be known."
            self._log.add("labelme.bad-file", Place(file.path, "/imagePath"), message)
            return None
        path = written.strip().replace("\\", "/")
        exact = normpath(join(dirname(file.path), path))
        if self._files.is_picture(exact):
            return exact
        has_name = bool(self._files.pictures_named(basename(path)))
        is_beside = len(own) == 1 and dirname(own[0]) == dirname(file.path)
        if len(own) == 1 and (is_beside or not has_name):
            if plain(basename(own[0])) == plain(basename(path)):
                self._files.note_spelling(written, own[0], Place(file.path, "/imagePath"))
            else:
                self._other_picture.add(Place(file.path, "/imagePath"), f"{written[:200]!r} in {file.path}")
            return own[0]
        return self._files.locate(written, Place(file.path, "/imagePath"))

    def _read_shapes(self, file: JsonFile, entry: JsonEntry, parts: _Parts) -> None:
        if entry.index is None:
            if entry.value != []:
                parts.is_bad = True
                message = f"'shapes' is {shown(entry.value)}, not a list."
                self._log.add("labelme.bad-file", file.place(entry), message)
        elif entry.index >= MAX_SHAPES:
            if not parts.is_bad:
                message = f"The file holds more than {MAX_SHAPES:,} shapes."
                self._log.add("labelme.bad-file", file.place(entry), message)
            parts.is_bad = True
        else:
            self._read_shape(file.place(entry), entry.value, parts)

    def _read_shape(self, place: Place, shape: Any, parts: _Parts) -> None:
        if not isinstance(shape, dict):
            parts.bad += 1
            self._log.add("labelme.bad-shape", place, f"The shape is {shown(shape)}, not an object.")
            return
        label = shape.get("label")
        name = class_name(label) or ""
        kind = shape.get("shape_type") or "polygon"
        if not isinstance(kind, str) or kind not in _READERS:
            skipped = _SKIPPED.get(kind, "shape") if isinstance(kind, str) else "shape"
            self._outlines.skip(skipped, name, place)
            return
        parts.bad += 1
        if not name:
            self._log.add("labelme.bad-shape", place, f"The label of the {kind} is {shown(label)}.")
            return
        points = points_of(shape.get("points"))
        if points is None:
            said = shown(shape.get("points"))
            message = f"The points of the {kind} {name[:80]!r} are no pairs of numbers: {said}."
            self._log.add("box.not-a-number", place, message)
            return
        edges = _READERS[kind](points)
        if edges is None:
            message = f"The {kind} {name[:80]!r} has {len(points):,} points: that makes no box."
            self._log.add("labelme.bad-shape", place, message)
            return
        parts.bad -= 1
        if not _is_box(kind, points, edges):
            self._outlines.hull("turned box" if kind in ("rectangle", "rotation") else kind, name, place)
        parts.boxes.append(Box(name, edges, place))


@dataclass(slots=True)
class _Parts:
    """What one file has said so far; `bad` counts the shapes that cannot be used."""

    values: dict[str, Any] = field(default_factory=dict)
    boxes: list[Box] = field(default_factory=list)
    bad: int = 0
    is_bad: bool = False


def _is_shape(entry: JsonEntry) -> bool:
    value = entry.value
    return (
        entry.section == "shapes"
        and entry.index is not None
        and isinstance(value, dict)
        and "points" in value
        and "label" in value
    )


def _between_corners(points: list[Point]) -> Edges | None:
    """Two corners in any order, as LabelMe writes them; some tools write all four."""
    if len(points) == 2:
        (x0, y0), (x1, y1) = points
        return Edges(x0, y0, x1, y1).ordered()
    return hull_of_points(points) if len(points) == 4 else None


def _around_circle(points: list[Point]) -> Edges | None:
    """Centre and one point on the rim."""
    if len(points) != 2:
        return None
    (x, y), rim = points
    radius = math.dist((x, y), rim)
    return Edges(x - radius, y - radius, x + radius, y + radius)


_READERS = {
    "rectangle": _between_corners,
    "rotation": hull_of_points,
    "polygon": hull_of_points,
    "circle": _around_circle,
    "mask": _between_corners,
}


def _is_box(kind: str, points: list[Point], edges: Edges) -> bool:
    """Whether a shape is the very box that is used for it."""
    return kind in ("rectangle", "rotation") and all(
        x in (edges.x0, edges.x1) and y in (edges.y0, edges.y1) for x, y in points
    )
