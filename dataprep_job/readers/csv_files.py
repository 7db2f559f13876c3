"""CSV files with a row for each box: Open Images, and those of TensorFlow's tutorials, RetinaNet and AutoML.

Sources: https://storage.googleapis.com/openimages/web/download_v7.html (data formats),
https://github.com/fizyr/keras-retinanet#csv-datasets, and Vertex AI's "Prepare image training data for object
detection". See `csv_layouts` for the columns. Rows of one picture may lie anywhere in a file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from posixpath import basename
from typing import Any, NamedTuple

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, split_of_name
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.readers.csv_layouts import (
    LOOKED_AT,
    Columns,
    Layout,
    is_unassigned,
    layout_of,
    split_of_word,
)
from dataprep_job.readers.csv_rows import CsvRow, csv_rows
from dataprep_job.readers.json_values import picture_size
from dataprep_job.readers.reading import Findings
from dataprep_job.readers.references import find_picture, locate_picture
from dataprep_job.readers.written_numbers import whole_number, written_number
from dataprep_job.text_lines import whole_lines

_LARGEST_SHARE = 2.0
_HELD_OUT_FIRST: tuple[Split, ...] = ("test", "validation", "train")

_MID = re.compile(r"/[a-z]/[0-9a-z_]+", re.ASCII)
"""Google's machine ids, such as `/m/015p6`."""

_BOX, _NOTHING, _GROUP, _BAD = range(4)


class CsvReader:
    """Reads every `.csv` and `.tsv` file whose columns hold pictures, classes and boxes."""

    name = "csv"

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every CSV annotation of the dataset."""
        tables: list[tuple[str, Layout]] = []
        others: list[tuple[str, list[CsvRow]]] = []
        for wanted in ("csv", "tsv"):
            for file in files.unclaimed(wanted):
                head = _head(files, file.path)
                layout = layout_of(head)
                if layout is not None:
                    tables.append((file.path, layout))
                elif head:
                    others.append((file.path, list(csv_rows(head, ","))))
        names: dict[str, str] = {}
        if any(layout.format == "openimages" for _, layout in tables):
            names = _descriptions(files, log, [path for path, rows in others if _is_descriptions(path, rows)])
            findings.order_classes(names.values())
        for path, layout in tables:
            files.claim(path)
            findings.recognise(layout.format)
            _Table(path, layout, files, log, findings, names).read()
        if any(not layout.header for _, layout in tables):
            for path, rows in others:
                if _is_class_map(rows):
                    findings.order_classes(_mapped_classes(files, log, path))


class _RowError(ValueError):
    """A row without a usable box; `code` is the defect it amounts to."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Entry(NamedTuple):
    """What is kept of a row; of `kind` _BOX the edges are four numbers, otherwise None."""

    line: int
    kind: int
    label: str
    edges: tuple[float | None, ...]
    size: tuple[int | None, int | None]
    split: Split | None

    def row(self) -> tuple[Any, ...]:
        return (self.line, self.kind, self.label, *self.edges, *self.size, self.split)

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> _Entry:
        return cls(row[0], row[1], row[2], row[3:7], row[7:9], row[9])


_NO_EDGES = (None, None, None, None)


class _Table:
    """One file. Its rows are gathered by picture outside memory, as they come in any order."""

    def __init__(
        self,
        path: str,
        layout: Layout,
        files: DatasetFiles,
        log: DefectLog,
        findings: Findings,
        names: dict[str, str],
    ) -> None:
        self._path = path
        self._layout = layout
        self._files = files
        self._log = log
        self._findings = findings
        self._names = names
        self._split = split_of_name(path) or split_of_folders(path)
        self._rows = files.groups(10)
        self._references = files.groups(1)
        self._may_be_shares: Counter[bool] = Counter()
        self._groups_of = log.bundle(
            "csv.group-of",
            "Boxes around groups (IsGroupOf) are no single objects and are left out: {subject}.",
        )
        self._sizes = log.bundle("csv.size-differs", "Rows of one picture differ in its size: {subject}.")
        self._unknown_splits = log.bundle("csv.unknown-split", "No split is called like this: {subject}.")
        self._nameless = log.bundle(
            "csv.no-class-descriptions", "No class description names these classes: {subject}."
        )

    def read(self) -> None:
        if self._layout.missing:
            has = ", ".join(self._layout.header)[:300]
            message = f"The file lacks {', '.join(self._layout.missing)}; it has {has}."
            self._log.add("csv.missing-column", at_line(self._path, 1), message)
            if self._layout.image is None:
                self._findings.lose(None)
                return
        for row in _rows(self._files, self._path, self._layout.separator, self._log):
            # Files that were joined repeat the header.
            if not self._layout.header or tuple(row.fields) != self._layout.header:
                self._keep(row)
        is_relative = self._layout.are_shares
        if is_relative is None:
            is_relative = self._may_be_shares[True] > self._may_be_shares[False]
        self._find_pictures()
        self._rows.index()
        for image, references in self._references:
            entries = [_Entry.of_row(row) for (reference,) in references for row in self._rows.get(reference)]
            self._add(image, sorted(entries, key=itemgetter(0)), is_relative)
        self._rows.drop()
        self._references.drop()

    def _keep(self, row: CsvRow) -> None:
        layout, fields = self._layout, row.fields
        if not row.problem and not any(fields):
            return
        at = layout.image or 0
        reference = fields[at] if at < len(fields) else ""
        if row.problem or not reference:
            message = row.problem or "The row names no picture."
            self._log.add("csv.bad-row", at_line(self._path, row.line), message)
            self._findings.lose(None)
            return
        split = None if layout.split is None else self._split_of(fields, layout.split, row.line)
        try:
            entry = self._entry(row.line, fields, split)
        except _RowError as mistake:
            if not layout.missing:
                self._log.add(mistake.code, at_line(self._path, row.line), str(mistake))
            entry = _Entry(row.line, _BAD, "", _NO_EDGES, (None, None), split)
        self._rows.add(reference, *entry.row())

    def _entry(self, line: int, fields: list[str], split: Split | None) -> _Entry:
        layout = self._layout
        if len(fields) > layout.width and any(fields[layout.width :]):
            raise _RowError("csv.bad-row", f"The row has {len(fields)} columns instead of {layout.width}.")
        fields = [*fields, *[""] * (layout.width - len(fields))]
        if layout.label is None or layout.box is None:
            raise _RowError("csv.missing-column", "A column is missing.")
        size = picture_size(fields[layout.size[0]], fields[layout.size[1]]) if layout.size else None
        label = fields[layout.label]
        if layout.group_of is not None and fields[layout.group_of].lower() in ("1", "true"):
            self._groups_of.add(at_line(self._path, line), f"{label[:80]!r} in line {line} of {self._path}")
            return _Entry(line, _GROUP, label, _NO_EDGES, size or (None, None), split)
        edges = self._edges(fields, layout.box)
        if not label:
            if edges is not None and any(edges):
                raise _RowError("csv.bad-row", "The row has a box, but no class.")
            edges = None
        elif edges is None:
            raise _RowError("csv.bad-row", f"The row has a class, {label[:80]!r}, but no box.")
        if edges is not None:
            self._may_be_shares[_may_be_shares(edges)] += 1
        kind = _NOTHING if edges is None else _BOX
        return _Entry(line, kind, label, edges or _NO_EDGES, size or (None, None), split)

    def _edges(self, fields: list[str], box: Columns) -> Edges | None:
        """The edges as written; None where all cells are blank."""
        texts = [(fields[x], fields[y]) for x, y in zip(box.xs, box.ys, strict=True)]
        texts = [pair for pair in texts if any(pair)]
        if not texts:
            return None
        if len(texts) < 2:
            raise _RowError("box.not-a-number", "The row has one corner instead of two.")
        points = [(self._number(x), self._number(y)) for x, y in texts]
        if len(points) > 2:
            xs, ys = zip(*points, strict=True)
            edges = Edges(min(xs), min(ys), max(xs), max(ys))
        else:
            (x0, y0), (x1, y1) = points
            edges = Edges(x0, y0, x0 + x1, y0 + y1) if self._layout.has_box_size else Edges(x0, y0, x1, y1)
        if self._layout.are_shares and not _may_be_shares(edges):
            raise _not_relative(edges)
        return edges

    def _number(self, text: str) -> float:
        number = written_number(text, is_share=self._layout.are_shares is True)
        if number is None:
            raise _RowError(
                "box.not-a-number", f"{text[:40]!r} is no number." if text else "A corner is blank."
            )
        return number

    def _split_of(self, fields: list[str], at: int, line: int) -> Split | None:
        word = fields[at] if at < len(fields) else ""
        split = split_of_word(word)
        if split is None and not is_unassigned(word):
            self._unknown_splits.add(at_line(self._path, line), repr(word[:40]))
        return split

    def _find_pictures(self) -> None:
        """Look every reference up once; two references may mean one picture."""
        for reference, rows in self._rows:
            split = _Entry.of_row(rows[0]).split or self._split
            usable = next((entry for row in rows if (entry := _Entry.of_row(row)).kind != _BAD), None)
            if usable is None:
                found = find_picture(self._files, reference, self._path, split)
                self._findings.lose(found[0] if len(found) == 1 else None)
                continue
            place = at_line(self._path, usable.line)
            image = locate_picture(self._files, reference, place, split)
            if image is None:
                self._findings.lose(None)
            else:
                self._references.add(image, reference)

    def _add(self, image: str, entries: list[_Entry], is_relative: bool) -> None:
        size = self._size(image, entries)
        boxes: list[Box] = []
        is_spoilt = False
        for entry in entries:
            is_spoilt |= entry.kind == _BAD
            if entry.kind != _BOX:
                continue
            edges = Edges(*(edge or 0.0 for edge in entry.edges))
            place = at_line(self._path, entry.line)
            if is_relative and not _may_be_shares(edges):
                mistake = _not_relative(edges)
                self._log.add(mistake.code, place, f"{mistake} Most rows of the file have shares.")
                is_spoilt = True
                continue
            if is_relative and size is not None:
                edges = edges.absolute(*size)
            boxes.append(Box(self._name(entry.label, place), edges, place))
        if is_spoilt and not boxes:
            self._findings.lose(image)
            return
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=tuple(boxes),
                declared_size=size,
                split=self._one_split(image, entries) or self._split or split_of_folders(image),
                place=at_line(self._path, entries[0].line),
                format=self._layout.format,
                is_relative=is_relative and size is None,
            )
        )

    def _size(self, image: str, entries: list[_Entry]) -> tuple[int, int] | None:
        sizes = {entry.size: entry.line for entry in entries if entry.size[0] is not None}
        if len(sizes) > 1:
            self._sizes.add(at_line(self._path, max(sizes.values())), image)
            return None
        return next(((width or 0, height or 0) for width, height in sizes), None)

    def _one_split(self, image: str, entries: list[_Entry]) -> Split | None:
        named = {entry.split: entry.line for entry in reversed(entries) if entry.split is not None}
        kept = next((split for split in _HELD_OUT_FIRST if split in named), None)
        other = next((split for split in reversed(_HELD_OUT_FIRST) if split in named), None)
        if kept is not None and other is not None and kept != other:
            message = f"{image} is named for {other} here and for {kept} in line {named[kept]}; {kept} holds."
            self._log.add("split.conflict", at_line(self._path, named[other]), message)
        return kept

    def _name(self, label: str, place: Place) -> str:
        name = self._names.get(label)
        if name is None and self._layout.format == "openimages" and _MID.fullmatch(label):
            self._nameless.add(place, label)
        return label if name is None else name


def _may_be_shares(edges: Edges) -> bool:
    return max(map(abs, edges)) <= _LARGEST_SHARE


def _not_relative(edges: Edges) -> _RowError:
    spelled = ", ".join(f"{edge:g}" for edge in edges)
    return _RowError("csv.not-relative", f"The corners {spelled} are no shares of the picture, from 0 to 1.")


def _head(files: DatasetFiles, path: str) -> list[tuple[int, str]]:
    """The first lines that are not blank."""
    stream = files.open(path)
    if stream is None:
        return []
    with stream:
        lines = whole_lines(stream, path, DefectLog())
        return list(islice((line for line in lines if line[1].strip()), LOOKED_AT))


def _rows(files: DatasetFiles, path: str, separator: str, log: DefectLog) -> Iterator[CsvRow]:
    stream = files.open(path)
    if stream is not None:
        with stream:
            yield from csv_rows(whole_lines(stream, path, log), separator)


def _is_descriptions(path: str, rows: list[CsvRow]) -> bool:
    """Whether a file names Open Images' classes: a machine id, or whatever stands for one, and a name."""
    if any(len(row.fields) != 2 for row in rows):
        return False
    ids = sum(_MID.fullmatch(row.fields[0]) is not None for row in rows)
    return "class-descriptions" in basename(path) or 2 * ids >= len(rows) > 0


def _descriptions(files: DatasetFiles, log: DefectLog, paths: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for path in paths:
        files.claim(path)
        for row in _rows(files, path, ",", log):
            if len(row.fields) == 2 and all(row.fields):
                names.setdefault(row.fields[0], row.fields[1])
            else:
                log.add("csv.bad-row", at_line(path, row.line), "The row is not a class id and its name.")
    return names


def _is_class_map(rows: list[CsvRow]) -> bool:
    """Whether a file is RetinaNet's list of classes: a name and a class id in every row."""
    return bool(rows) and all(
        len(row.fields) == 2 and row.fields[0] and whole_number(row.fields[1]) is not None for row in rows
    )


def _mapped_classes(files: DatasetFiles, log: DefectLog, path: str) -> list[str]:
    files.claim(path)
    ids: dict[str, int] = {}
    for row in _rows(files, path, ",", log):
        class_id = whole_number(row.fields[1]) if len(row.fields) == 2 else None
        if class_id is None:
            log.add("csv.bad-row", at_line(path, row.line), "The row is not a class name and its id.")
        else:
            ids.setdefault(row.fields[0], class_id)
    return sorted(ids, key=lambda name: ids[name])
