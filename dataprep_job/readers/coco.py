"""COCO: one JSON file lists many pictures, their boxes and the classes; boxes are pixels, 0-based.

`images[]{id, file_name, width, height}`, `annotations[]{image_id, category_id, bbox: [left, top, width,
height]}`, `categories[]{id, name}`, in any order (https://cocodataset.org/#format-data). Ids are arbitrary:
they need not begin at 1, may have holes, and tools write them as text or number.

Label Studio multiplies the shares of the displayed picture with the size of the stored one, so its files are
read as shares again (https://github.com/HumanSignal/label-studio/issues/6608).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from posixpath import basename

from dataprep_job.catalogue import Groups
from dataprep_job.dataset_files import DatasetFiles, beside, split_of_folders, split_of_name
from dataprep_job.defects import Defect, DefectLog, Place
from dataprep_job.json_stream import JsonEntry
from dataprep_job.labels import Box, Edges, LabelledImage
from dataprep_job.readers.coco_rows import BoxRow, CocoRows, ImageRow
from dataprep_job.readers.json_values import class_order
from dataprep_job.readers.reading import Findings, JsonFile

_SAME_PICTURES = ("person_keypoints_", "stuff_")
"""The official set describes the pictures of `instances_….json` again in files that begin like this."""

_TOGETHER = 200
_MAX_UNNAMED = 100
_OTHERS = "(others)"


class CocoFormat:
    """Reads COCO's instance annotations; captions and panoptic segments are no boxes."""

    name = "coco"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._class_keys: dict[str, int | str] = {}

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether there are pictures with file names or annotations that refer to pictures."""
        sections = {entry.section for entry in head}
        return {"images", "annotations", "categories"} <= sections or any(map(_is_coco, head))

    def read(self, file: JsonFile) -> None:
        """Read one file; memory does not grow with it."""
        name = basename(file.path)
        for prefix in _SAME_PICTURES:
            twin = beside(file.path, "instances_" + name.removeprefix(prefix))
            if name.startswith(prefix) and self._files.has(twin):
                self._log.add("coco.no-boxes", Place(file.path), f"The boxes of {twin} are used instead.")
                return
        rows = CocoRows(file, self._files, self._log, self._findings)
        rows.gather()
        if file.is_broken or self._is_about_boxes(file, rows):
            _Records(file, rows, self._files, self._log, self._findings, self._class_keys).add()
        rows.drop()

    def finish(self) -> None:
        """Classes get their ids in the order of their category ids."""
        in_order = sorted(self._class_keys.items(), key=lambda item: class_order(item[1]))
        self._findings.order_classes(name for name, _ in in_order)

    def _is_about_boxes(self, file: JsonFile, rows: CocoRows) -> bool:
        """Whether the file says what is on its pictures; a defect otherwise."""
        if not rows.has_annotations:
            message = "The file lists pictures, but has no annotations: they are not labelled."
            self._log.add("coco.no-annotations", Place(file.path), message)
            return False
        if rows.other_count:
            message = f"{rows.other_count:,} annotations hold captions or panoptic segments, no boxes."
            self._log.add("coco.no-boxes", Place(file.path), message)
        return rows.box_count > 0 or not rows.other_count


def _is_coco(entry: JsonEntry) -> bool:
    value = entry.value
    if not isinstance(value, dict) or entry.index is None:
        return False
    if entry.section == "images":
        return "file_name" in value
    return entry.section == "annotations" and "image_id" in value


class _Records:
    """Makes one record for every picture of one file, in the order of its `images`."""

    def __init__(
        self,
        file: JsonFile,
        rows: CocoRows,
        files: DatasetFiles,
        log: DefectLog,
        findings: Findings,
        class_keys: dict[str, int | str],
    ) -> None:
        self._file = file
        self._path = file.path
        self._rows = rows
        self._files = files
        self._log = log
        self._findings = findings
        self._names = [None if key in rows.doubtful else rows.class_names.get(key) for key in rows.categories]
        self._class_keys = class_keys
        self._used: set[int] = set()
        self._unnamed: dict[int | str, tuple[int, Place]] = {}
        self._split = split_of_name(file.path) or split_of_folders(file.path)
        self._sizes = log.bundle("coco.size-missing", "No usable width and height are given: {subject}.")

    def add(self) -> None:
        """Give the findings everything that the file says."""
        idle = self._idle_entries()
        met = 0
        rows = self._rows.images_with_boxes()
        while batch := list(islice(rows, _TOGETHER)):
            located = self._files.only_pictures_named([row[1] for row, _ in batch])
            for row, boxes in batch:
                met += len(boxes)
                if idle is None or not idle.get(row[-1]):
                    self._add_image(row, boxes, located.get(row[1]))
        if met != self._rows.box_count or not self._rows.are_images_ascending:
            for key, index in self._rows.orphans():
                message = f"The file lists no picture with the id {key}."
                self._log.add("coco.unknown-image", Place(self._path, f"/annotations/{index}"), message)
        for category, (count, first) in self._unnamed.items():
            message = f"Category id {category} is not among the categories; its {count:,} boxes are left out."
            self._log.append(Defect("coco.class-without-name", first, message, count))
        for number in sorted(self._used):
            name = self._names[number] if number >= 0 else None
            if name is not None:
                self._class_keys.setdefault(name, self._rows.categories[number])
        if idle is not None:
            idle.drop()

    def _add_image(self, row: ImageRow, rows: list[BoxRow], located: str | None) -> None:
        """`located`: the picture, where nothing has to be said about which one that is."""
        key, name, width, height, index = row
        place = Place(self._path, f"/images/{index}")
        image = located or self._files.locate(name, place)
        if image is None or not self._is_only_meaning(key, name, place):
            self._findings.lose(image)
            return
        boxes = self._boxes(rows)
        # In a file that is cut off, a picture without boxes need not be empty.
        if not boxes and (rows or self._file.is_broken):
            self._findings.lose(image)
            return
        size = None if width is None or height is None else (width, height)
        if size is None:
            self._sizes.add(place, name[:200])
        is_relative = size is not None and self._rows.is_of_label_studio
        if size is not None and is_relative:
            boxes = tuple(Box(box.name, box.edges.relative(*size), box.place) for box in boxes)
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=boxes,
                declared_size=size,
                split=self._split or split_of_folders(image),
                place=place,
                format=CocoFormat.name,
                is_relative=is_relative,
            )
        )

    def _boxes(self, rows: list[BoxRow]) -> tuple[Box, ...]:
        path, names = self._path, self._names
        boxes = [
            Box(name, Edges(x0, y0, x1, y1), Place(path, f"/annotations/{index}"))
            for _, category, index, x0, y0, x1, y1 in rows
            if category >= 0 and (name := names[category]) is not None
        ]
        self._used.update([row[1] for row in rows])
        if len(boxes) < len(rows):
            for _, category, index, *_ in rows:
                if category >= 0 and names[category] is None:
                    place = Place(path, f"/annotations/{index}")
                    self._count_unnamed(self._rows.categories[category], place)
        return tuple(boxes)

    def _count_unnamed(self, category: int | str, place: Place) -> None:
        if category in self._rows.doubtful:
            return
        if category not in self._unnamed and len(self._unnamed) >= _MAX_UNNAMED:
            category = _OTHERS
        count, first = self._unnamed.get(category, (0, place))
        self._unnamed[category] = (count + 1, first)

    def _is_only_meaning(self, key: int | str, name: str, place: Place) -> bool:
        """Whether an image id stands for one picture; a defect where it does not."""
        if self._rows.are_images_ascending:
            return True
        other = next((other for other in self._rows.names_of(key) if other != name), None)
        if other is None:
            return True
        message = f"Image id {key} means {name[:200]!r} and {other[:200]!r}: whose are its boxes?"
        self._log.add("coco.duplicate-id", place, message)
        return False

    def _idle_entries(self) -> Groups | None:
        """Positions of `images` entries that say nothing new about a picture; None where there are none.

        Two entries of one picture that both have boxes are two annotations of it, and stay.
        """
        if not self._rows.have_names_repeats():
            return None
        names = self._files.groups(2)
        for key, name, _, _, index in self._rows.images():
            names.add(name, key, index)
        bundle = self._log.bundle("coco.repeated-image", "Pictures are listed more than once: {subject}.")
        idle: Groups | None = None
        for name, entries in names:
            if len(entries) == 1:
                continue
            keys = dict.fromkeys(key for key, _ in entries)
            telling = {key for key in keys if self._rows.has_boxes(key)} or {entries[0][0]}
            for key, index in entries:
                if key in telling:
                    telling.remove(key)
                    continue
                idle = idle or self._files.groups(1)
                idle.add(index, 1)
                bundle.add(Place(self._path, f"/images/{index}"), repr(name[:200]))
        names.drop()
        if idle is not None:
            idle.index()
        return idle
