"""The layout of Caltech-UCSD Birds 200-2011: text files that number the pictures, and one that boxes them.

`images.txt` `<id> <path>`, `bounding_boxes.txt` `<id> <x> <y> <width> <height>` in pixels, 0-based,
`image_class_labels.txt` `<id> <class id>`, `classes.txt` `<class id> <name>`, `train_test_split.txt`
`<id> <1 train, 0 test>`. Ids are texts to us: imitators do not always use numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from dataprep_job.dataset_files import DatasetFiles, beside
from dataprep_job.defects import Defect, DefectLog, Place, at_line
from dataprep_job.file_source import why_unsafe
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.readers.reading import Reading

T = TypeVar("T")

_LIST = "images.txt"
_BOXES = "bounding_boxes.txt"
_LABELS = "image_class_labels.txt"
_CLASSES = "classes.txt"
_SPLIT = "train_test_split.txt"
_SIZES = "sizes.txt"
"""Not part of the original: the public birds notebook makes it."""

_SPLITS: dict[str, Split] = {"1": "train", "0": "test"}


@dataclass(slots=True)
class _Tables:
    """The text files of one CUB folder, by image id; every entry with its line."""

    images: dict[str, tuple[str, int]] = field(default_factory=dict)
    boxes: dict[str, list[tuple[Edges, int]]] = field(default_factory=lambda: defaultdict(list))
    labels: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    names: dict[str, str] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


class CubReader:
    """Reads every folder that holds `images.txt` beside `bounding_boxes.txt` or `image_class_labels.txt`."""

    name = "cub"

    def read(self, files: DatasetFiles, log: DefectLog) -> Reading | None:
        """Every CUB folder of the dataset, merged."""
        lists = [
            path
            for path in files.named(_LIST)
            if beside(path, _BOXES) in files.by_path or beside(path, _LABELS) in files.by_path
        ]
        if not lists:
            return None
        reading = Reading()
        for path in lists:
            _Folder(path, files, log).read_into(reading)
        return reading


class _Folder:
    """One CUB folder, read once."""

    def __init__(self, list_path: str, files: DatasetFiles, log: DefectLog) -> None:
        self._list = list_path
        self._files = files
        self._log = log
        self._tables = _Tables()
        self._orphans: dict[str, dict[str, int]] = defaultdict(dict)
        self._unnamed: dict[str, list[int]] = defaultdict(list)

    def read_into(self, reading: Reading) -> None:
        self._read_tables()
        used: set[str] = set()
        for image_id, (path, line) in self._tables.images.items():
            image = self._locate(path, line)
            boxes = self._boxes(image_id, path, line) if image is not None else None
            if image is None or boxes is None:
                reading.lost.append(image or "")
                continue
            used.update(box.name for box in boxes)
            reading.images.append(
                LabelledImage(
                    image=image,
                    boxes=boxes,
                    declared_size=self._tables.sizes.get(image_id),
                    split=self._tables.splits.get(image_id),
                    place=at_line(self._list, line),
                    format=CubReader.name,
                )
            )
        self._report_unnamed()
        self._report_orphans()
        for class_id in sorted(self._tables.names, key=_numbers_first):
            if self._tables.names[class_id] in used:
                reading.class_order.append(self._tables.names[class_id])

    def _read_tables(self) -> None:
        tables = self._tables
        for image_id, path, line in self._rows(_LIST, "<image id> <path>", _text):
            if image_id in tables.images:
                first = tables.images[image_id][1]
                self._log.add(
                    "cub.duplicate-id",
                    at_line(self._list, line),
                    f"Image id {image_id} is used by line {first} already; this line is not used.",
                )
            else:
                tables.images[image_id] = (path, line)
        for image_id, edges, line in self._rows(_BOXES, "<image id> <x> <y> <width> <height>", _box):
            if self._is_listed(image_id, _BOXES, line):
                tables.boxes[image_id].append((edges, line))
        for image_id, class_id, line in self._rows(_LABELS, "<image id> <class id>", _word):
            if self._is_listed(image_id, _LABELS, line):
                tables.labels[image_id].append((class_id, line))
        for class_id, name, _ in self._rows(_CLASSES, "<class id> <name>", _text):
            tables.names.setdefault(class_id, name)
        splits: Iterator[tuple[str, Split, int]] = self._rows(
            _SPLIT, "<image id> <1 or 0>", _split, required=False
        )
        for image_id, named, line in splits:
            if self._is_listed(image_id, _SPLIT, line):
                tables.splits[image_id] = named
        for image_id, size, line in self._rows(_SIZES, "<image id> <width> <height>", _size, required=False):
            if self._is_listed(image_id, _SIZES, line):
                tables.sizes[image_id] = size
        # The full set brings attributes and part locations too, which say nothing about boxes.
        for file in self._files.unclaimed("txt"):
            if file.path.startswith(beside(self._list, "")):
                self._files.claim(file.path)

    def _rows(
        self, name: str, shape: str, parse: Callable[[str], T | None], *, required: bool = True
    ) -> Iterator[tuple[str, T, int]]:
        """Rows `<id> <rest>` of one file with their line numbers; what cannot be parsed becomes a defect."""
        path = beside(self._list, name)
        if path not in self._files.by_path:
            if required:
                self._log.add("cub.file-missing", Place(path), f"{name} is missing beside {self._list}.")
            return
        self._files.claim(path)
        for number, line in self._files.lines(path):
            key, _, rest = line.replace("\t", " ").partition(" ")
            value = parse(rest.strip())
            if value is None:
                self._log.add("cub.bad-line", at_line(path, number), f"{line[:80]!r} is not '{shape}'.")
            else:
                yield key, value, number

    def _is_listed(self, image_id: str, name: str, line: int) -> bool:
        if image_id in self._tables.images:
            return True
        self._orphans[name].setdefault(image_id, line)
        return False

    def _locate(self, path: str, line: int) -> str | None:
        place = at_line(self._list, line)
        unsafe = why_unsafe(path)
        if unsafe is not None:
            self._log.add("path.outside", place, f"{path!r} is not used: {unsafe}.")
            return None
        usual = beside(self._list, f"images/{path}")
        for image in (usual, beside(self._list, path)):
            if image in self._files.by_path:
                return image
        twin = self._files.spelled_like(usual)
        meant = f" Did you mean {twin}?" if twin else ""
        self._log.add("image.missing", place, f"{path} is listed, but there is no picture {usual}.{meant}")
        return None

    def _boxes(self, image_id: str, path: str, line: int) -> tuple[Box, ...] | None:
        """The boxes of one picture; None, with a defect, where it has to be left out."""
        boxes = self._tables.boxes.get(image_id, [])
        labels = self._tables.labels.get(image_id, [])
        if not boxes or not labels:
            lacking = " and ".join(name for name, rows in ((_BOXES, boxes), (_LABELS, labels)) if not rows)
            message = f"{path} (id {image_id}) is listed, but has no usable line in {lacking}."
            self._log.add("labels.missing", at_line(self._list, line), message)
            return None
        if len(labels) not in (1, len(boxes)):
            self._log.add(
                "cub.label-count",
                at_line(beside(self._list, _LABELS), labels[0][1]),
                f"{path} (id {image_id}) has {len(boxes)} boxes and {len(labels)} class labels.",
            )
            return None
        if len(labels) == 1:
            labels = labels * len(boxes)
        found: list[Box] = []
        for (edges, box_line), (class_id, label_line) in zip(boxes, labels, strict=True):
            name = self._tables.names.get(class_id)
            if name is None:
                self._unnamed[class_id].append(label_line)
            else:
                found.append(Box(name, edges, at_line(beside(self._list, _BOXES), box_line)))
        return tuple(found) or None

    def _report_unnamed(self) -> None:
        path = beside(self._list, _LABELS)
        for class_id, lines in self._unnamed.items():
            message = f"Class id {class_id} has no name in {_CLASSES}; its {len(lines):,} boxes are left out."
            self._log.append(Defect("cub.class-without-name", at_line(path, lines[0]), message, len(lines)))

    def _report_orphans(self) -> None:
        for name, lines in self._orphans.items():
            path = beside(self._list, name)
            found = [(at_line(path, line), f"id {image_id}") for image_id, line in lines.items()]
            self._log.add_together(
                "cub.orphan-id", found, f"{name} speaks of pictures that {_LIST} does not list: {{subject}}."
            )


def _text(rest: str) -> str | None:
    return rest or None


def _word(rest: str) -> str | None:
    return rest if rest and " " not in rest else None


def _numbers(rest: str, count: int) -> list[float] | None:
    words = rest.split()
    if len(words) != count:
        return None
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _box(rest: str) -> Edges | None:
    numbers = _numbers(rest, 4)
    if numbers is None:
        return None
    x, y, width, height = numbers
    return Edges(x, y, x + width, y + height)


def _split(rest: str) -> Split | None:
    return _SPLITS.get(rest)


def _size(rest: str) -> tuple[int, int] | None:
    numbers = _numbers(rest, 2)
    if numbers is None or not all(number.is_integer() for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1])


def _numbers_first(class_id: str) -> tuple[bool, int, str]:
    is_number = class_id.isascii() and class_id.isdigit() and len(class_id) < 19
    return not is_number, int(class_id) if is_number else 0, class_id
