"""What one COCO file lists, kept outside memory until all of it is known: it comes in any order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog, Place
from dataprep_job.json_stream import JsonEntry, JsonRun
from dataprep_job.labels import Edges
from dataprep_job.readers.json_values import corner_and_size, key_of, number, picture_size, shown
from dataprep_job.readers.reading import Findings, JsonFile

_ROW = struct.Struct("=qqq4d")
_ROWS = np.dtype([("id", "i8"), ("category", "i8"), ("index", "i8"), ("edges", "f8", 4)])
"""The same for numpy."""
_NO_ID = -(1 << 63)
_MAX_WAITING = _ROW.size * 1000
_MAX_CATEGORIES = 100_000

_NUMBERS = frozenset({int, float})
_LARGEST_ID = 1 << 62
_LARGEST_EDGE = 1e300
_LARGEST_EXACT = 1 << 52
_YES = (1, "1")
_OTHER_TASKS = ("caption", "segments_info")
"""Annotations that hold one of these and no box are for another task than detection."""


ImageRow = tuple[int | str, str, int | None, int | None, int]
"""One entry of `images`: its id, file name, width, height and position in the list."""

BoxRow = tuple[int, int, int, float, float, float, float]
"""One entry of `annotations`: its id, the number of its category, its position in the list, and its edges.

The category is -1 where the annotation cannot be used.
"""


class CocoRows:
    """Gathers one file's entries, and reports those that cannot be used by themselves.

    Attributes:
        class_names: by category id, as far as the file names them.
        doubtful: category ids with two names.
        categories: the category ids that boxes have, by the numbers that `BoxRow` has.
        box_count: annotations of pictures, usable or not.
        other_count: annotations for another task.
        has_annotations: whether there is a list of annotations, be it empty.
        are_images_ascending: image ids only rise, so none is there twice.
        is_of_label_studio: whether the file says that Label Studio wrote it.
    """

    def __init__(self, file: JsonFile, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self.class_names: dict[int | str, str] = {}
        self.doubtful: set[int | str] = set()
        self.categories: list[int | str] = []
        self.box_count = 0
        self.other_count = 0
        self.has_annotations = False
        self.are_images_ascending = True
        self.is_of_label_studio = False
        self._file = file
        self._files = files
        self._log = log
        self._findings = findings
        self._images = files.groups(4)
        self._boxes = files.groups(1)
        self._waiting = bytearray()
        self._waiting_key: int | str = 0
        self._category_numbers: dict[int | str, int] = {}
        self._are_boxes_ascending = True
        self._are_keys_ascending = True
        self._last_key: int | str | None = None
        self._last_image: int | str | None = None
        self._last_box = _NO_ID
        self._crowds = log.bundle(
            "coco.crowd", "Crowd regions (iscrowd) are no single objects and are left out: {subject}."
        )
        self._polygons = log.bundle(
            "coco.box-from-polygon", "There is no bbox; the box around the polygon is used: {subject}."
        )
        self._texts = log.bundle("json.number-as-text", "Numbers are written as text: {subject}.")

    def gather(self) -> None:
        """Read the file to its end, or to where it is broken."""
        for part in self._file.parts():
            if isinstance(part, JsonEntry):
                self._keep(part)
            elif part.section != "annotations" or not self._keep_plain_annotations(part):
                for entry in part.entries():
                    self._keep(entry)
        self._flush()
        if not (self.are_images_ascending and self._are_keys_ascending):
            self._boxes.index()
            self._images.index()
        if not self._are_boxes_ascending:
            self._report_repeated_ids()

    def _keep(self, entry: JsonEntry) -> None:
        if entry.section == "annotations":
            self.has_annotations = True
            if entry.index is not None:
                self._keep_annotation(entry)
        elif entry.index is None:
            self.is_of_label_studio |= entry.section == "info" and _is_by_label_studio(entry.value)
        elif entry.section == "images":
            self._keep_image(entry)
        elif entry.section == "categories":
            self._keep_category(entry)

    def images(self) -> Iterator[ImageRow]:
        """Every usable entry of `images`, in order."""
        yield from self._images.in_order()

    def have_names_repeats(self) -> bool:
        """Whether a file name stands in two entries of `images`."""
        return self._images.has_repeats(0)

    def names_of(self, key: int | str) -> list[str]:
        """The file names that stand under an image id."""
        return [row[0] for row in self._images.get(key)]

    def has_boxes(self, key: int | str) -> bool:
        """Whether any annotation, usable or not, has this image id."""
        return bool(self._boxes.get(key))

    def images_with_boxes(self) -> Iterator[tuple[ImageRow, list[BoxRow]]]:
        """Every usable entry of `images`, in order, with its annotations, usable or not, in order."""
        if not (self.are_images_ascending and self._are_keys_ascending):
            for row in self.images():
                packed = b"".join([values[0] for values in self._boxes.get(row[0])])
                yield row, list(_ROW.iter_unpack(packed))
            return
        # Most tools write both lists in the order of the ids: each is read once, side by side.
        boxes = self._boxes.in_order()
        key, values = next(boxes, (None, b""))
        for row in self.images():
            found = b""
            while key is not None and not _is_after(key, row[0]):
                if key == row[0]:
                    found += values
                key, values = next(boxes, (None, b""))
            yield row, list(_ROW.iter_unpack(found))

    def orphans(self) -> Iterator[tuple[int | str, int]]:
        """Image ids that the file does not list, and the index of each annotation that has one."""
        for key, packed in self._boxes.in_order():
            if not self._images.get(key):
                for row in _ROW.iter_unpack(packed):
                    yield key, row[2]

    def drop(self) -> None:
        """Give the space back."""
        self._images.drop()
        self._boxes.drop()

    def _keep_image(self, entry: JsonEntry) -> None:
        value = entry.value
        if not isinstance(value, dict):
            self._spoil_image(entry, f"The entry is {shown(value)}, not an object.")
            return
        key, name = key_of(value.get("id")), value.get("file_name")
        if not isinstance(name, str) or not name.strip():
            self._spoil_image(entry, f"The file_name is {shown(name)}.")
        elif key is None:
            image = self._files.locate(name, self._file.place(entry))
            self._spoil_image(entry, f"The id of {name[:200]!r} is {shown(value.get('id'))}.", image)
        else:
            width, height = value.get("width"), value.get("height")
            if width is not None or height is not None:
                width, height = picture_size(width, height) or (None, None)
            self._images.add(key, name, width, height, entry.index)
            self.are_images_ascending = self.are_images_ascending and _is_after(key, self._last_image)
            self._last_image = key

    def _spoil_image(self, entry: JsonEntry, message: str, image: str | None = None) -> None:
        self._log.add("coco.bad-image", self._file.place(entry), message)
        self._findings.lose(image)

    def _keep_category(self, entry: JsonEntry) -> None:
        value = entry.value
        key = key_of(value.get("id")) if isinstance(value, dict) else None
        name = value.get("name") if isinstance(value, dict) else None
        if isinstance(name, int) and not isinstance(name, bool):
            name = shown(name)
        if key is None or not isinstance(name, str):
            self._log.add("coco.bad-category", self._file.place(entry), "The category lacks an id or a name.")
            return
        known = self.class_names.setdefault(key, name)
        if known != name and key not in self.doubtful:
            self.doubtful.add(key)
            message = f"Category id {key} means {known[:100]!r} and {name[:100]!r}; its boxes are left out."
            self._log.add("coco.duplicate-category", self._file.place(entry), message)

    def _keep_annotation(self, entry: JsonEntry) -> None:
        value = entry.value
        if not isinstance(value, dict):
            self._spoil_annotation(entry, f"The annotation is {shown(value)}, not an object.")
            return
        key = value.get("image_id")
        if type(key) is not int or not -_LARGEST_ID < key < _LARGEST_ID:
            key = key_of(key)
            if key is None:
                message = f"The image_id is {shown(value.get('image_id'))}: the picture cannot be known."
                self._spoil_annotation(entry, message)
                return
        box = value.get("bbox")
        if box is None and any(task in value for task in _OTHER_TASKS):
            self.other_count += 1
            return
        if key != self._waiting_key or len(self._waiting) > _MAX_WAITING:
            self._flush()
            self._waiting_key = key
        self.box_count += 1
        own_id = value.get("id")
        if type(own_id) is not int or not -_LARGEST_ID < own_id < _LARGEST_ID:
            own_key = key_of(own_id)
            own_id = _NO_ID if own_key is None else hash(own_key)
        if own_id > self._last_box:
            self._last_box = own_id
        elif own_id != _NO_ID:
            self._are_boxes_ascending = False
        if value.get("iscrowd") in _YES:
            self._crowds.add(self._file.place(entry), entry.pointer)
        elif edges := _plain_edges(box) or self._edges(entry, value, box):
            category = self._category(entry, value.get("category_id"))
            self._waiting += _ROW.pack(own_id, category, entry.index, *edges)
            return
        # It tells that the picture is not empty.
        self._waiting += _ROW.pack(own_id, -1, entry.index, 0, 0, 0, 0)

    def _keep_plain_annotations(self, run: JsonRun) -> bool:
        """Keep many annotations at once; False where any of them needs `_keep_annotation`."""
        plain = _PlainAnnotations.of(run.values)
        if plain is None or len(self.categories) + len(set(plain.categories)) > _MAX_CATEGORIES:
            return False
        self.has_annotations = True
        self.box_count += len(plain.ids)
        self._are_boxes_ascending &= bool(plain.ids[0] > self._last_box and (np.diff(plain.ids) > 0).all())
        self._last_box = max(self._last_box, int(plain.ids.max()))
        for key in dict.fromkeys(plain.categories):
            if key not in self._category_numbers:
                self._category_numbers[key] = len(self.categories)
                self.categories.append(key)
        packed = plain.packed(run.first, [self._category_numbers[key] for key in plain.categories])
        start = 0
        for stop in [*(np.flatnonzero(np.diff(plain.images)) + 1).tolist(), len(plain.ids)]:
            key = int(plain.images[start])
            if key != self._waiting_key or len(self._waiting) > _MAX_WAITING:
                self._flush()
                self._waiting_key = key
            self._waiting += packed[_ROW.size * start : _ROW.size * stop]
            start = stop
        return True

    def _spoil_annotation(self, entry: JsonEntry, message: str) -> None:
        self._log.add("coco.bad-annotation", self._file.place(entry), message)

    def _flush(self) -> None:
        if self._waiting:
            self._boxes.add(self._waiting_key, bytes(self._waiting))
            if self._waiting_key != self._last_key:
                self._are_keys_ascending &= _is_after(self._waiting_key, self._last_key)
                self._last_key = self._waiting_key
            self._waiting.clear()

    def _category(self, entry: JsonEntry, written: Any) -> int:
        """The number of a category id; -1, with a defect, for what is none."""
        if type(written) is int and (known := self._category_numbers.get(written)) is not None:
            return known
        key = key_of(written)
        if key is None:
            self._spoil_annotation(entry, f"The category_id is {shown(written)}.")
            return -1
        found = self._category_numbers.get(key)
        if found is None:
            if len(self.categories) > _MAX_CATEGORIES:
                self._spoil_annotation(entry, f"There are more than {_MAX_CATEGORIES:,} category ids.")
                return -1
            found = self._category_numbers[key] = len(self.categories)
            self.categories.append(key)
        return found

    def _edges(self, entry: JsonEntry, value: dict[str, Any], box: object) -> Edges | None:
        """The box of an annotation that is not as plain as usual; None, with a defect, if it is unusable."""
        if not isinstance(box, list) or len(box) != 4:
            return self._edges_otherwise(entry, value, box)
        edges = corner_and_size(box)
        if edges is None:
            self._log.add("box.not-a-number", self._file.place(entry), f"The bbox is {shown(box)}.")
        else:
            self._texts.add(self._file.place(entry), f"{entry.pointer} {shown(box)}")
        return edges

    def _edges_otherwise(self, entry: JsonEntry, value: dict[str, Any], box: object) -> Edges | None:
        """The box around the polygons of an annotation whose bbox is missing or empty."""
        place = self._file.place(entry)
        if box is not None and box != []:
            self._log.add("box.not-a-number", place, f"The bbox is {shown(box)}, not four numbers.")
            return None
        polygons = value.get("segmentation")
        if isinstance(polygons, dict):
            self._log.add("coco.mask-without-box", place, "There is a mask, but no bbox.")
        elif not polygons:
            self._log.add("coco.no-box", place, "There is neither a bbox nor a segmentation.")
        else:
            edges = _hull(polygons)
            if edges is not None:
                self._polygons.add(place, entry.pointer)
                return edges
            self._log.add("box.not-a-number", place, "There is no bbox, and the polygon is no list x, y, ….")
        return None

    def _report_repeated_ids(self) -> None:
        ids = self._files.groups(1)
        for _, packed in self._boxes.in_order():
            for own_id, _, index, *_ in _ROW.iter_unpack(packed):
                if own_id != _NO_ID:
                    ids.add(own_id, index)
        repeated = self._log.bundle(
            "coco.duplicate-annotation-id", "Annotations share their id with another one: {subject}."
        )
        for _, rows in ids:
            for (index,) in rows[1:]:
                pointer = f"/annotations/{index}"
                repeated.add(Place(self._file.path, pointer), pointer)
        ids.drop()


class _PlainAnnotations(NamedTuple):
    """Annotations of which nothing has to be said: whole ids, four numbers, no crowd.

    Attributes:
        ids: of the annotations, int64.
        images: ids of their pictures, int64.
        categories: ids of their categories.
        edges: left, top, right and bottom, a row each.
    """

    ids: NDArray[np.int64]
    images: NDArray[np.int64]
    categories: list[int]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, values: list[Any]) -> _PlainAnnotations | None:
        """None where a value is anything else. What these rules let pass, `_keep_annotation` keeps alike."""
        try:
            own = [value["id"] for value in values]
            images = [value["image_id"] for value in values]
            categories = [value["category_id"] for value in values]
            boxes = [value["bbox"] for value in values]
            crowds = {value.get("iscrowd") for value in values}
        except (KeyError, TypeError):
            return None
        are_lists = set(map(type, boxes)) == {list} and set(map(len, boxes)) == {4}
        if not are_lists or {int} != {*map(type, own), *map(type, images), *map(type, categories)}:
            return None
        numbers = list(chain.from_iterable(boxes))
        if not _NUMBERS.issuperset(map(type, numbers)) or not crowds.isdisjoint(_YES):
            return None
        try:
            ids = np.array([own, images, categories], np.int64)
            edges = np.array(numbers, np.float64).reshape(-1, 4)
        except OverflowError:
            return None
        # Below, sums of whole numbers are exact; NaN and infinity do not pass.
        if (
            not np.abs(edges).max() < _LARGEST_EXACT
            or not -_LARGEST_ID < ids.min() <= ids.max() < _LARGEST_ID
        ):
            return None
        edges[:, 2:] += edges[:, :2]
        return cls(ids[0], ids[1], categories, edges)

    def packed(self, first: int, numbers: list[int]) -> bytes:
        """A `BoxRow` each: `first` is the position of the first, `numbers` are those of the categories."""
        rows = np.empty(len(numbers), _ROWS)
        rows["id"] = self.ids
        rows["category"] = numbers
        rows["index"] = np.arange(first, first + len(numbers))
        rows["edges"] = self.edges
        return rows.tobytes()


def _is_by_label_studio(info: object) -> bool:
    return isinstance(info, dict) and info.get("contributor") == "Label Studio"


def _plain_edges(box: object) -> tuple[float, float, float, float] | None:
    """The edges of four sound numbers, computed fast; None for anything else."""
    if type(box) is not list or len(box) != 4 or not _NUMBERS.issuperset(map(type, box)):
        return None
    left, top, width, height = box
    try:
        left, top = left + 0.0, top + 0.0
        right, bottom = left + width, top + height
    except OverflowError:
        return None
    # Neither NaN nor infinity passes.
    if -_LARGEST_EDGE < right < _LARGEST_EDGE and -_LARGEST_EDGE < bottom < _LARGEST_EDGE:
        return left, top, right, bottom
    return None


def _is_after(key: int | str, last: int | str | None) -> bool:
    if isinstance(key, int):
        return last is None or (isinstance(last, int) and key > last)
    return last is None or (isinstance(last, str) and key > last)


def _hull(polygons: object) -> Edges | None:
    """The box around polygons given as lists x, y, x, y, …; None where they are anything else."""
    if not isinstance(polygons, list) or not all(
        isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons
    ):
        return None
    values = [number(value) for value in chain.from_iterable(polygons)]
    points = [value for value in values if value is not None]
    if len(points) != len(values):
        return None
    return Edges(min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2]))
