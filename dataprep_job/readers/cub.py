"""The layout of Caltech-UCSD Birds 200-2011: text files that number the pictures, and one that boxes them.

`images.txt` `<id> <path>`, `bounding_boxes.txt` `<id> <x> <y> <width> <height>` in pixels, 0-based,
`image_class_labels.txt` `<id> <class id>`, `classes.txt` `<class id> <name>`, `train_test_split.txt`
`<id> <1 train, 0 test>`. Ids are texts to us: imitators do not always use numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from posixpath import dirname
from typing import Any, TypeVar

from dataprep_job.catalogue import Groups, aligned
from dataprep_job.dataset_files import DatasetFiles, beside
from dataprep_job.defects import Defect, DefectLog, Place, at_line
from dataprep_job.file_source import why_unsafe
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.readers.reading import Findings

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

_LIST = "images.txt"
_BOXES = "bounding_boxes.txt"
_LABELS = "image_class_labels.txt"
_CLASSES = "classes.txt"
_SPLIT = "train_test_split.txt"
_SIZES = "sizes.txt"
"""Not part of the original: the public birds notebook makes it."""

_FILES = (_LIST, _BOXES, _LABELS, _SPLIT, _SIZES)
_SPLITS: dict[str, Split] = {"1": "train", "0": "test"}

_NOT_ABOUT_BOXES = ("attributes", "parts")
"""Folders of the full set with text files that say nothing about boxes."""

_SPOILT = ""
"""Stands for each value of a line that cannot be read: boxes and class labels pair up by their order."""


class CubReader:
    """Reads every folder that holds `images.txt` beside `bounding_boxes.txt` or `image_class_labels.txt`."""

    name = "cub"

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every CUB folder of the dataset."""
        for path in files.named(_LIST):
            if files.has(beside(path, _BOXES)) or files.has(beside(path, _LABELS)):
                findings.recognise(self.name)
                _Folder(path, files, log, findings).read()


class _Folder:
    """One CUB folder. Its tables are kept by image id, every entry with its line."""

    def __init__(self, list_path: str, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._list = list_path
        self._files = files
        self._log = log
        self._findings = findings
        self._names: dict[str, str] = {}
        self._doubtful: set[str] = set()
        self._unnamed: dict[str, tuple[int, int]] = {}
        self._used: set[str] = set()

    def read(self) -> None:
        self._read_classes()
        tables = [
            self._gather(_LIST, "<image id> <path>", _path),
            self._gather(_BOXES, "<image id> <x> <y> <width> <height>", _box, spoilt=(_SPOILT,) * 4),
            self._gather(_LABELS, "<image id> <class id>", _word, spoilt=(_SPOILT,)),
            self._gather(_SPLIT, "<image id> <1 or 0>", _split, required=False),
            self._gather(_SIZES, "<image id> <width> <height>", _size, required=False),
        ]
        for folder in _NOT_ABOUT_BOXES:
            self._files.claim_below(beside(self._list, folder), "txt")
        self._claim_attribute_names()
        orphans = [
            self._log.bundle(
                "cub.orphan-id", f"{name} speaks of pictures that {_LIST} does not list: {{subject}}."
            )
            for name in _FILES
        ]
        for image_id, (images, *rows) in aligned(*tables):
            if images:
                self._add(image_id, images, *rows)
                continue
            for name, bundle, found in zip(_FILES, orphans, [images, *rows], strict=True):
                if any(row[0] != _SPOILT for row in found):
                    bundle.add(at_line(beside(self._list, name), found[0][-1]), f"id {image_id}")
        self._report_unnamed()
        for table in tables:
            table.drop()
        in_order = sorted(self._names, key=_numbers_first)
        self._findings.order_classes(self._names[key] for key in in_order if self._names[key] in self._used)

    def _read_classes(self) -> None:
        for class_id, name, line in self._rows(_CLASSES, "<class id> <name>", _text):
            known = self._names.setdefault(class_id, name)
            if known != name and class_id not in self._doubtful:
                self._doubtful.add(class_id)
                message = (
                    f"Class id {class_id} means {known[:100]!r} and {name[:100]!r}; its boxes are left out."
                )
                self._log.add("cub.duplicate-class", at_line(beside(self._list, _CLASSES), line), message)

    def _claim_attribute_names(self) -> None:
        """The full set has the names of its attributes one folder further up."""
        folder = dirname(self._list)
        for path in (beside(folder, "attributes.txt"), beside(self._list, "attributes.txt")):
            if self._files.has(path):
                self._files.claim(path)

    def _add(self, image_id: str, images: Rows, boxes: Rows, labels: Rows, splits: Rows, sizes: Rows) -> None:
        (path, line), *others = images
        for _, other in others:
            message = f"Image id {image_id} means {path[:200]!r} in line {line}, and this picture here."
            self._log.add("cub.duplicate-id", at_line(self._list, other), message)
        if any(other_path != path for other_path, _ in others):
            # Nobody knows whose boxes these are.
            for each, each_line in images:
                self._findings.lose(self._locate(each, each_line))
            return
        image = self._locate(path, line)
        found = self._boxes_of(image_id, path, line, boxes, labels) if image is not None else None
        if image is None or found is None:
            self._findings.lose(image)
            return
        self._used.update(box.name for box in found)
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=found,
                declared_size=sizes[-1][:2] if sizes else None,
                split=self._one_split(path, splits),
                place=at_line(self._list, line),
                format=CubReader.name,
            )
        )

    def _one_split(self, path: str, splits: Rows) -> Split | None:
        """The split of a picture; held out, with a defect, where it is named for both."""
        named: dict[Split, int] = dict(reversed(splits))
        if len(named) > 1:
            message = f"{path} is for training and for testing; it is held out."
            self._log.add("split.conflict", at_line(beside(self._list, _SPLIT), max(named.values())), message)
        return "test" if "test" in named else next(iter(named), None)

    def _gather(
        self,
        name: str,
        shape: str,
        parse: Callable[[str], Sequence[Any] | None],
        *,
        required: bool = True,
        spoilt: Sequence[Any] | None = None,
    ) -> Groups:
        """The rows of one file by image id, each with its line number at its end.

        `spoilt`: what stands for a line that cannot be read; None: nothing.
        """
        table: Groups | None = None
        for image_id, values, line in self._rows(name, shape, parse, required=required, spoilt=spoilt):
            table = table or self._files.groups(len(values) + 1)
            # Numbers sort as people count them.
            table.add(int(image_id) if _is_plain_number(image_id) else image_id, *values, line)
        return table or self._files.groups(1)

    def _rows(
        self,
        name: str,
        shape: str,
        parse: Callable[[str], T | None],
        *,
        required: bool = True,
        spoilt: T | None = None,
    ) -> Iterator[tuple[str, T, int]]:
        """Rows `<id> <rest>` of one file with their line numbers; what cannot be parsed becomes a defect."""
        path = beside(self._list, name)
        if not self._files.has(path):
            if required:
                self._log.add("cub.file-missing", Place(path), f"{name} is missing beside {self._list}.")
            return
        self._files.claim(path)
        for number, line in self._files.lines(path):
            key, _, rest = line.replace("\t", " ").partition(" ")
            value = parse(rest.strip())
            if value is None:
                self._log.add("cub.bad-line", at_line(path, number), f"{line[:80]!r} is not '{shape}'.")
                value = spoilt
            if value is not None:
                yield key, value, number

    def _locate(self, path: str, line: int) -> str | None:
        place = at_line(self._list, line)
        unsafe = why_unsafe(path)
        if unsafe is not None:
            self._log.add("path.outside", place, f"{path!r} is not used: {unsafe}.")
            return None
        usual = beside(self._list, f"images/{path}")
        for image in (usual, beside(self._list, path)):
            if self._files.has(image):
                return image
        twin = self._files.spelled_like(usual)
        if twin is not None:
            self._files.note_spelling(path, twin, place)
            return twin
        self._log.add("image.missing", place, f"{path} is listed, but there is no picture {usual}.")
        return None

    def _boxes_of(
        self, image_id: str, path: str, line: int, boxes: Rows, labels: Rows
    ) -> tuple[Box, ...] | None:
        """The boxes of one picture; None, with a defect, where it has to be left out."""
        sound = [[row for row in rows if row[0] != _SPOILT] for rows in (boxes, labels)]
        if not all(sound):
            names = zip((_BOXES, _LABELS), sound, strict=True)
            lacking = " and ".join(name for name, rows in names if not rows)
            message = f"{path} (id {image_id}) is listed, but has no usable line in {lacking}."
            self._log.add("labels.missing", at_line(self._list, line), message)
            return None
        if [len(rows) for rows in sound] == [1, 1]:
            boxes, labels = sound
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
        for (*edges, box_line), (class_id, label_line) in zip(boxes, labels, strict=True):
            name = self._names.get(class_id)
            if _SPOILT in (class_id, edges[0]) or class_id in self._doubtful:
                continue
            if name is None:
                count, first = self._unnamed.get(class_id, (0, label_line))
                self._unnamed[class_id] = (count + 1, first)
            else:
                found.append(
                    Box(
                        name,
                        Edges(*(math.nan if edge is None else edge for edge in edges)),
                        at_line(beside(self._list, _BOXES), box_line),
                    )
                )
        return tuple(found) or None

    def _report_unnamed(self) -> None:
        path = beside(self._list, _LABELS)
        for class_id, (count, first) in self._unnamed.items():
            message = f"Class id {class_id} has no name in {_CLASSES}; its {count:,} boxes are left out."
            self._log.append(Defect("cub.class-without-name", at_line(path, first), message, count))


def _text(rest: str) -> str | None:
    return rest or None


def _path(rest: str) -> tuple[str] | None:
    return (rest,) if rest else None


def _word(rest: str) -> tuple[str] | None:
    return (rest,) if rest and " " not in rest else None


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


def _split(rest: str) -> tuple[Split] | None:
    split = _SPLITS.get(rest)
    return None if split is None else (split,)


def _size(rest: str) -> tuple[int, int] | None:
    numbers = _numbers(rest, 2)
    if numbers is None or not all(number.is_integer() and 0 < number < 1e6 for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1])


def _is_plain_number(image_id: str) -> bool:
    return image_id.isascii() and image_id.isdigit() and len(image_id) < 19 and image_id[0] != "0"


def _numbers_first(class_id: str) -> tuple[bool, int, str]:
    is_number = class_id.isascii() and class_id.isdigit() and len(class_id) < 19
    return not is_number, int(class_id) if is_number else 0, class_id
