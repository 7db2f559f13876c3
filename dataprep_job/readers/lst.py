"""MXNet's `.lst` for im2rec: a line a picture, boxes as shares of the picture.

`index A B [extra] (class xmin ymin xmax ymax [more])… path`, separated by tabs. A is the length of the header
(2, or 4 where the picture's width and height are the extra), B the length of a box (5 or more). Class ids
begin at 0. Sources: https://mxnet.apache.org/versions/1.9.1/api/faq/recordio and `ImageDetIter`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import dirname, join

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, split_of_name
from dataprep_job.defects import Defect, DefectLog, Place, at_line
from dataprep_job.labels import Box, Edges, LabelledImage
from dataprep_job.readers.class_lists import ClassList, ClassNames, list_in_json, list_in_lines
from dataprep_job.readers.json_values import picture_size
from dataprep_job.readers.reading import Findings
from dataprep_job.readers.references import find_picture, locate_picture
from dataprep_job.readers.written_numbers import whole_number, written_number
from dataprep_job.text_lines import text_lines

_LARGEST_SHARE = 2.0
_LARGEST_CLASS = 1 << 31
_PER_BOX = 5
_LOOKED_AT = 20
_ROUNDING = 1.5e-4
"""Lists are written with four digits or more, a box and its mirror image each rounded for itself."""


class ListReader:
    """Reads every `.lst` file whose lines are an index, numbers and a path."""

    name = "lst"

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every detection list of the dataset."""
        classes = _Classes(files, log)
        for file in files.unclaimed("lst"):
            if _is_list(files, file.path):
                files.claim(file.path)
                findings.recognise(self.name)
                _List(file.path, files, log, findings, classes).read()
        findings.order_classes(classes.finish())


class _RowError(ValueError):
    """A line that cannot be used; `code` is the defect it amounts to."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Row:
    """One line. `boxes` holds class id and four shares of every usable box, one after the other."""

    index: int
    path: str
    size: tuple[int, int] | None
    boxes: array[float] = field(default_factory=lambda: array("d"))
    mistakes: list[_RowError] = field(default_factory=list)


class _List:
    """One list. Its lines are gathered by picture, as mirrored copies are listed under the same path."""

    def __init__(
        self, path: str, files: DatasetFiles, log: DefectLog, findings: Findings, classes: _Classes
    ) -> None:
        self._path = path
        self._files = files
        self._log = log
        self._findings = findings
        self._classes = classes
        self._split = split_of_name(path) or split_of_folders(path)
        self._rows = files.groups(4)
        self._indices = files.groups(1)
        self._last_index = -1
        self._is_ascending = True
        self._class_only: tuple[int, int] | None = None

    def read(self) -> None:
        for line, text in self._files.lines(self._path):
            fields = [part.strip() for part in text.split("\t")]
            try:
                row = _read_row(fields)
            except _RowError as error:
                self._spoil(line, fields[-1] if len(fields) > 1 else text.split()[-1], error)
                continue
            self._note_index(row.index, line)
            self._keep(row, line)
        if self._class_only is not None:
            count, first = self._class_only
            message = f"{count:,} lines hold a class, but no box."
            self._log.append(Defect("lst.classification", at_line(self._path, first), message, count))
        if not self._is_ascending:
            self._report_repeated_indices()
        for image, rows in self._rows:
            self._add(image, rows)
        self._rows.drop()
        self._indices.drop()

    def _spoil(self, line: int, reference: str, error: _RowError) -> None:
        if error.code == "lst.classification":
            count, first = self._class_only or (0, line)
            self._class_only = (count + 1, first)
        else:
            self._log.add(error.code, at_line(self._path, line), str(error))
        found = find_picture(self._files, reference, self._path, self._split)
        self._findings.lose(found[0] if len(found) == 1 else None)

    def _note_index(self, index: int, line: int) -> None:
        self._is_ascending &= index > self._last_index
        self._last_index = index
        self._indices.add(index, line)

    def _report_repeated_indices(self) -> None:
        bundle = self._log.bundle(
            "lst.duplicate-index", "Lines share their index with another one: {subject}."
        )
        for index, rows in self._indices:
            for (line,) in rows[1:]:
                bundle.add(at_line(self._path, line), f"index {index}")

    def _keep(self, row: _Row, line: int) -> None:
        place = at_line(self._path, line)
        image = locate_picture(self._files, row.path, place, self._split)
        if image is None:
            self._findings.lose(None)
            return
        for mistake in row.mistakes:
            self._log.add(mistake.code, place, str(mistake))
        if row.mistakes and not row.boxes:
            self._findings.lose(image)
            return
        self._rows.add(image, line, *(row.size or (None, None)), row.boxes.tobytes())

    def _add(self, image: str, rows: list[tuple[int, int | None, int | None, bytes]]) -> None:
        original = array("d", rows[0][3])
        for number, (line, width, height, data) in enumerate(rows):
            numbers = array("d", data)
            if number and _is_mirror_image(original, numbers):
                continue
            place = at_line(self._path, line)
            size = None if width is None or height is None else (width, height)
            boxes = []
            for at in range(0, len(numbers), _PER_BOX):
                name = self._classes.name(self._path, int(numbers[at]), place)
                if name is not None:
                    edges = Edges(*numbers[at + 1 : at + _PER_BOX])
                    boxes.append(Box(name, edges.absolute(*size) if size else edges, place))
            if numbers and not boxes:
                self._findings.lose(image)
                continue
            self._findings.add(
                LabelledImage(
                    image=image,
                    boxes=tuple(boxes),
                    declared_size=size,
                    split=self._split or split_of_folders(image),
                    place=place,
                    format=ListReader.name,
                    is_relative=size is None,
                )
            )


class _Classes:
    """Class names: `classes.json`, `classes.txt` or `*.names` beside a list, or in the folders around it."""

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._names_in: dict[str, list[str]] = {}
        for file in files.unclaimed("names"):
            self._names_in.setdefault(dirname(file.path), []).append(file.path)
        self._by_list: dict[str, ClassNames | None] = {}
        self._by_files: dict[tuple[str, ...], ClassNames] = {}
        self._nameless = log.bundle(
            "lst.no-class-names",
            "Nothing says what the class ids mean; they are called class 0, class 1, …: {subject}.",
        )

    def name(self, path: str, class_id: int, place: Place) -> str | None:
        """What a class id in a list means; None, reported in the end, where it has no name."""
        if path not in self._by_list:
            self._by_list[path] = self._names_for(path)
            if self._by_list[path] is None:
                self._nameless.add(Place(path), path)
        names = self._by_list[path]
        return f"class {class_id}" if names is None else names.name(class_id, place)

    def finish(self) -> list[str]:
        """Report class ids without one meaning; returns all class names in the order of their ids."""
        in_order: dict[str, None] = {}
        for names in self._by_files.values():
            names.report(self._log)
            in_order.update(dict.fromkeys(names.in_order()))
        return list(in_order)

    def _names_for(self, path: str) -> ClassNames | None:
        folder = path
        while folder:
            folder = dirname(folder)
            files = tuple(self._class_files(folder))
            if files in self._by_files:
                return self._by_files[files]
            lists = [found for file in files if (found := self._read(file)) is not None and found.names]
            if lists:
                names = self._by_files[files] = ClassNames(lists)
                for found in lists:
                    self._files.claim(found.file)
                return names
        return None

    def _class_files(self, folder: str) -> Iterator[str]:
        for name in ("classes.json", "classes.txt"):
            path = join(folder, name)
            # CUB's `classes.txt` has ids in it.
            if self._files.has(path) and not self._files.has(join(folder, "images.txt")):
                yield path
        yield from self._names_in.get(folder, ())

    def _read(self, path: str) -> ClassList | None:
        if path.endswith(".json"):
            return list_in_json(self._files, path, self._log)
        return list_in_lines(self._files, path, self._log)


def _is_list(files: DatasetFiles, path: str) -> bool:
    """Whether one of the first lines is an index, a number and something more."""
    stream = files.open(path)
    if stream is None:
        return False
    with stream:
        for count, (_, line) in enumerate(text_lines(stream, path, DefectLog())):
            fields = line.split()
            if (
                len(fields) > 2
                and whole_number(fields[0]) is not None
                and written_number(fields[1]) is not None
            ):
                return True
            if count == _LOOKED_AT:
                break
    return False


def _read_row(fields: list[str]) -> _Row:
    """Read one line. Raises _RowError where nothing of it can be used."""
    if len(fields) == 1:
        raise _RowError("lst.bad-row", "The columns are not separated by tabs.")
    index = whole_number(fields[0])
    if index is None:
        raise _RowError("lst.bad-row", f"The first column is {fields[0][:40]!r}, not the picture's index.")
    if written_number(fields[-1]) is not None:
        raise _RowError("lst.bad-row", f"The last column is {fields[-1][:40]!r}, not the picture's path.")
    labels = fields[1:-1]
    if len(labels) == 1 and written_number(labels[0]) is not None:
        raise _RowError("lst.classification", "The line holds a class, but no box.")
    header, width = _widths(labels)
    path = fields[-1]
    if (len(labels) - header) % width:
        # A path that holds tabs was taken apart: the numbers end before it.
        count = next(
            (at for at, text in enumerate(labels) if written_number(text, is_share=True) is None), -1
        )
        if count < header or (count - header) % width:
            raise _RowError(
                "lst.bad-width",
                f"{len(labels) - header} numbers follow the header; they cannot be boxes of {width} numbers.",
            )
        labels, path = labels[:count], "\t".join((*labels[count:], path))
    size = picture_size(labels[2], labels[3]) if header == 4 else None
    row = _Row(index, path, size)
    for at in range(header, len(labels), width):
        try:
            row.boxes.extend(_box(labels[at : at + width]))
        except _RowError as error:
            row.mistakes.append(error)
    return row


def _widths(labels: list[str]) -> tuple[int, int]:
    """Length of the header, and numbers a box."""
    header, width = (whole_number(text) for text in labels[:2]) if len(labels) > 1 else (None, None)
    if header is None or width is None or not 2 <= header <= len(labels) or width < _PER_BOX:
        message = (
            f"The line begins with {' '.join(labels[:2])[:40]!r}, not with the header's length (2 or more) "
            "and the numbers a box has (5 or more)."
        )
        raise _RowError("lst.bad-row", message)
    return header, width


def _box(texts: list[str]) -> tuple[float, ...]:
    """Class id and shares of a box; empty for the filling that MXNet puts in place of boxes."""
    if all(written_number(text) == -1 for text in texts[:_PER_BOX]):
        return ()
    edges: list[float] = []
    for text in texts[1:_PER_BOX]:
        number = written_number(text, is_share=True)
        if number is None:
            raise _RowError("box.not-a-number", f"{text[:40]!r} is no number.")
        if abs(number) > _LARGEST_SHARE:
            message = f"The corner {number:g} is no share of the picture, which lies from 0 to 1."
            raise _RowError("lst.not-relative", message)
        edges.append(number)
    class_id = whole_number(texts[0])
    if class_id is None or class_id >= _LARGEST_CLASS:
        raise _RowError("lst.bad-class", f"The class is {texts[0][:40]!r}, not a whole number from 0 up.")
    return (float(class_id), *edges)


def _is_mirror_image(original: array[float], other: array[float]) -> bool:
    """Whether boxes are those of the picture mirrored left to right."""
    if len(original) != len(other) or not original:
        return False
    for at in range(0, len(original), _PER_BOX):
        if original[at] != other[at]:
            return False
        mirrored = Edges(*original[at + 1 : at + _PER_BOX]).mirrored()
        if any(abs(a - b) > _ROUNDING for a, b in zip(mirrored, other[at + 1 : at + _PER_BOX], strict=True)):
            return False
    return True
