"""Create ML: one JSON file lists pictures and their boxes: centre and size, in pixels from the top left.

`[{image, annotations: [{label, coordinates: {x, y, width, height}}]}]`; newer versions write `imagefilename`
and `annotation`. https://developer.apple.com/documentation/createml/building-an-object-detector-data-source
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, split_of_name
from dataprep_job.defects import DefectLog, Place
from dataprep_job.json_stream import JsonEntry
from dataprep_job.labels import Box, Edges, LabelledImage
from dataprep_job.readers.json_values import class_name, number, shown
from dataprep_job.readers.reading import Findings, JsonFile

_PICTURE = ("image", "imagefilename")
_BOXES = ("annotations", "annotation")
_COORDINATES = ("x", "y", "width", "height")


class CreateMlFormat:
    """Reads Create ML's object detection annotations."""

    name = "createml"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._names: set[str] = set()

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether it is a list of pictures with annotations that have coordinates, or with none at all."""
        lists = [found for entry in head if (found := _annotations_of(entry)) is not None]
        annotations = [annotation for found in lists for annotation in found]
        if not annotations:
            return bool(lists)
        return any(isinstance(annotation, dict) and "coordinates" in annotation for annotation in annotations)

    def read(self, file: JsonFile) -> None:
        """Read one file, a picture at a time."""
        split = split_of_name(file.path) or split_of_folders(file.path)
        for entry in file.entries():
            image, boxes = self._picture(file, entry)
            if image is None or boxes is None:
                self._findings.lose(image)
                continue
            self._names.update(box.name for box in boxes)
            self._findings.add(
                LabelledImage(
                    image=image,
                    boxes=boxes,
                    declared_size=None,
                    split=split or split_of_folders(image),
                    place=file.place(entry),
                    format=self.name,
                )
            )
        if file.is_broken:
            self._findings.lose(None)

    def finish(self) -> None:
        """Classes have no order of their own here."""
        self._findings.order_classes(sorted(self._names))

    def _picture(self, file: JsonFile, entry: JsonEntry) -> tuple[str | None, tuple[Box, ...] | None]:
        """The picture of an entry and its boxes; None, with a defect, for what cannot be used."""
        place = file.place(entry)
        value = entry.value
        if not isinstance(value, dict):
            self._log.add("createml.bad-image", place, f"The entry is {shown(value)}, not an object.")
            return None, None
        written = _first(value, _PICTURE)
        if not isinstance(written, str) or not written.strip():
            self._log.add("createml.bad-image", place, f"The name of the picture is {shown(written)}.")
            return None, None
        image = self._files.locate(written, place)
        annotations = _first(value, _BOXES)
        if not isinstance(annotations, list):
            message = f"The annotations of {written[:200]!r} are {shown(annotations)}, not a list."
            self._log.add("createml.bad-image", place, message)
            return image, None
        key = next(key for key in _BOXES if key in value)
        found = [
            self._box(Place(file.path, f"{entry.pointer}/{key}/{index}"), annotation)
            for index, annotation in enumerate(annotations)
        ]
        boxes = tuple(box for box in found if box is not None)
        return image, None if found and not boxes else boxes

    def _box(self, place: Place, annotation: Any) -> Box | None:
        label = annotation.get("label") if isinstance(annotation, dict) else None
        coordinates = annotation.get("coordinates") if isinstance(annotation, dict) else None
        name = class_name(label)
        if name is None:
            self._log.add("createml.bad-annotation", place, f"The label is {shown(label)}.")
            return None
        if not isinstance(coordinates, dict):
            message = f"The coordinates of {name[:80]!r} are {shown(coordinates)}, not an object."
            self._log.add("createml.bad-annotation", place, message)
            return None
        written = [coordinates.get(name) for name in _COORDINATES]
        x, y, width, height = map(number, written)
        if x is not None and y is not None and width is not None and height is not None:
            edges = Edges(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            if edges.is_finite():
                return Box(name, edges, place)
        self._log.add("box.not-a-number", place, f"The coordinates of {name[:80]!r} are {shown(written)}.")
        return None


def _first(value: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _annotations_of(entry: JsonEntry) -> list[Any] | None:
    """The annotations of an entry that looks like a picture of this format; None otherwise."""
    value = entry.value
    if entry.section is not None or not isinstance(value, dict):
        return None
    annotations = _first(value, _BOXES)
    if not isinstance(_first(value, _PICTURE), str) or not isinstance(annotations, list):
        return None
    return annotations
