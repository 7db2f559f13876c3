"""Files that say what class ids mean: lists of names beside annotations that hold ids only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dataprep_job.class_list import normal_name
from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import Defect, DefectLog, Place
from dataprep_job.readers.json_values import shown
from dataprep_job.readers.written_numbers import whole_number

MAX_LIST_BYTES = 16 << 20

_MAX_COUNTED = 1000
"""How many ids without one meaning are counted each on its own."""


class ClassList(NamedTuple):
    """What one file says: names by class id (0-based), which may have holes."""

    file: str
    names: Mapping[int, str]


def list_in_lines(files: DatasetFiles, path: str, log: DefectLog) -> ClassList | None:
    """A name a line: the first line is class 0, and blank lines count. None, with a defect, if too large."""
    if not _fits(files, path, log):
        return None
    return ClassList(path, {number - 1: line for number, line in files.lines(path)})


def list_in_json(files: DatasetFiles, path: str, log: DefectLog) -> ClassList | None:
    """Names in JSON; None where the file holds none.

    A list of names; an object id -> name or name -> id; or Label Studio's `notes.json`, with `categories`
    that have `id` and `name`.
    """
    if not _fits(files, path, log):
        return None
    data = files.read(path)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    names = dict(_pairs(document))
    return ClassList(path, names) if names else None


def _fits(files: DatasetFiles, path: str, log: DefectLog) -> bool:
    size = files.file(path).size
    if size <= MAX_LIST_BYTES:
        return True
    message = f"The list of classes has {size >> 20} MiB; {MAX_LIST_BYTES >> 20} MiB are allowed."
    log.add("file.too-large", Place(path), message)
    return False


def _pairs(document: Any) -> Iterator[tuple[int, str]]:
    """Ids and names of a decoded file, as far as it holds any."""
    if isinstance(document, dict) and isinstance(document.get("categories"), list):
        for entry in document["categories"]:
            if isinstance(entry, dict):
                yield from _pair(entry.get("id"), entry.get("name"))
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from _pair(key, value) if isinstance(value, str) else _pair(value, key)
    elif isinstance(document, list):
        for class_id, name in enumerate(document):
            yield from _pair(class_id, name)


def _pair(class_id: Any, name: Any) -> Iterator[tuple[int, str]]:
    if isinstance(class_id, int) and not isinstance(class_id, bool):
        class_id = shown(class_id)
    key = whole_number(class_id) if isinstance(class_id, str) else None
    if key is not None and isinstance(name, str) and name.strip():
        yield key, name


class ClassNames:
    """The meaning of class ids where one or several lists say so.

    Ids without a name, and ids that the lists name differently, are counted and reported in the end.
    """

    def __init__(self, lists: Iterable[ClassList]) -> None:
        self.files: list[str] = []
        self._names: dict[int, str] = {}
        self._sources: dict[int, str] = {}
        self._doubtful: dict[int, tuple[str, str]] = {}
        self._lost: dict[int | None, tuple[int, Place]] = {}
        for file, names in lists:
            self.files.append(file)
            for class_id, name in names.items():
                known = self._names.setdefault(class_id, name)
                source = self._sources.setdefault(class_id, file)
                if known != name and normal_name(known) != normal_name(name):
                    said = f"{known[:80]!r} in {source}", f"{name[:80]!r} in {file}"
                    self._doubtful.setdefault(class_id, said)
        self._spelled = set(self._names.values())
        self._has_used_zero = False

    def __contains__(self, name: str) -> bool:
        return name in self._spelled

    def in_order(self) -> list[str]:
        """All names in the order of their ids."""
        return [self._names[class_id] for class_id in sorted(self._names)]

    def name(self, class_id: int, place: Place) -> str | None:
        """The name of a class; None, which `report` speaks of, where there is no or more than one."""
        name = self._names.get(class_id)
        if class_id == 0:
            self._has_used_zero = True
        if name is not None and class_id not in self._doubtful:
            return name
        key = class_id if class_id in self._lost or len(self._lost) < _MAX_COUNTED else None
        count, first = self._lost.get(key, (0, place))
        self._lost[key] = (count + 1, first)
        return None

    def report(self, log: DefectLog) -> None:
        """Note the ids that cost boxes."""
        where = " or ".join(self.files[:3])
        for class_id, (count, first) in self._lost.items():
            if class_id in self._doubtful:
                one, other = self._doubtful[class_id]
                message = f"Class id {class_id} is {one} and {other}; its {count:,} boxes are left out."
                log.append(Defect("class.lists-differ", first, message, count))
            else:
                spelled = "Other class ids have" if class_id is None else f"Class id {class_id} has"
                message = f"{spelled} no name in {where}; {count:,} boxes are left out."
                if class_id == len(self._names) and not self._has_used_zero:
                    message += " No box has class 0: were the ids counted from 1? Then all classes are wrong."
                log.append(Defect("class.without-name", first, message, count))
