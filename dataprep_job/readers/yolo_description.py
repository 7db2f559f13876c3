"""What `data.yaml` (Ultralytics, Roboflow) and `obj.data` (darknet) say: class names, places of the splits.

https://docs.ultralytics.com/datasets/detect/#ultralytics-yolo-format; keys `path`, `train`, `val`, `test`,
`names`, `nc`, `kpt_shape`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath
from typing import Any

import yaml

from dataprep_job.dataset_files import DatasetFiles, split_of_folders
from dataprep_job.defects import DefectLog, Place
from dataprep_job.labels import Split
from dataprep_job.readers.class_lists import ClassList, list_in_lines
from dataprep_job.readers.written_numbers import whole_number
from dataprep_job.yaml_depth import refuse_deep

MAX_BYTES = 1 << 20
_MAX_PATHS = 1000
_LONGEST_PATH = 4096
_DEEPEST_PATH = 64
"""Folders in a path whose leading ones may be left out: a dozen is much, thousands would take minutes."""
_MAX_POSE_COLUMNS = 10_000

_SPLIT_KEYS: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_OTHER_KEYS = ("nc", "path", "download", "kpt_shape")
_MENTIONS_US = re.compile(rb"""\b(names|train)["']?\s*[:=]""")
_MENTIONS_NAMES = re.compile(rb"""^["']?names["']?\s*[:=]""", re.MULTILINE)


@dataclass(slots=True)
class Description:
    """What one file says.

    Attributes:
        file: the description.
        names: None where it names no classes.
        folders: folders of pictures that exist, with their split.
        lists: text files of picture paths that exist, with their split.
        pose_columns: the number of columns of a label line in a dataset of poses.
        class_files: the files that hold the names, where they stand in one of their own.
    """

    file: str
    names: ClassList | None = None
    folders: list[tuple[str, Split]] = field(default_factory=list)
    lists: list[tuple[str, Split]] = field(default_factory=list)
    pose_columns: int | None = None
    class_files: list[str] = field(default_factory=list)


def read_yaml_description(path: str, data: bytes, files: DatasetFiles, log: DefectLog) -> Description | None:
    """What a YAML file says; None where it is no description of a YOLO dataset. Mistakes become defects."""
    if len(data) > MAX_BYTES:
        if _MENTIONS_NAMES.search(data):
            message = f"The file has {len(data):,} bytes; {MAX_BYTES:,} are allowed."
            log.add("file.too-large", Place(path), message)
        return None
    if not _MENTIONS_US.search(data.replace(b"\0", b"")):
        return None
    try:
        refuse_deep(data)
        # Every word stays a text: a class may be called `no`, `1` or `null`.
        document = yaml.load(data, Loader=yaml.BaseLoader)  # noqa: S506  (makes texts, lists and mappings only)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if _MENTIONS_NAMES.search(data):
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark is not None else None
            problem = getattr(error, "problem", None) or type(error).__name__
            log.add("yolo.bad-yaml", Place(path, where), f"Not YAML that can be read: {problem}.")
        return None
    if not isinstance(document, dict) or not _is_description(document):
        return None
    return _Reader(path, data, files, log).read(document)


def read_darknet_description(
    path: str, data: bytes, files: DatasetFiles, log: DefectLog
) -> Description | None:
    """What a `.data` file of lines `key = value` says; None where it is something else."""
    if len(data) > MAX_BYTES or not _MENTIONS_US.search(data):
        return None
    text = data.decode("utf-8-sig", errors="replace")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    document: dict[str, Any] = {key.strip(): value.strip() for key, value in pairs}
    if not any(isinstance(document.get(key), str) for key in ("names", "train")):
        return None
    document["nc"] = document.get("classes")
    return _Reader(path, data, files, log).read(document)


def _is_description(document: dict[Any, Any]) -> bool:
    has_splits = any(isinstance(document.get(key), str | list) for key in _SPLIT_KEYS)
    if isinstance(document.get("names"), list | dict):
        return True
    if isinstance(document.get("names"), str):
        return has_splits or "nc" in document
    return has_splits and "train" in document and any(key in document for key in ("val", *_OTHER_KEYS))


class _Reader:
    """Reads one decoded description."""

    def __init__(self, path: str, data: bytes, files: DatasetFiles, log: DefectLog) -> None:
        self._path = path
        self._data = data
        self._files = files
        self._log = log
        self._missing = log.bundle("yolo.path-not-found", "The dataset has no such path: {subject}.")

    def read(self, document: dict[Any, Any]) -> Description:
        found = Description(self._path)
        found.names = self._names(document.get("names"), found)
        self._check_count(document.get("nc"), found.names)
        found.pose_columns = _pose_columns(document.get("kpt_shape"))
        root = document.get("path")
        root = root if isinstance(root, str) else ""
        for key, split in _SPLIT_KEYS.items():
            value = document.get(key)
            values = value if isinstance(value, list) else [value]
            for one in values[:_MAX_PATHS]:
                if isinstance(one, str) and one.strip():
                    self._resolve(key, one.strip(), root, split, found)
        return found

    def _place(self, key: str) -> Place:
        lines = self._data.decode(errors="replace").splitlines()
        spelled = re.compile(rf"""["']?{re.escape(key)}["']?\s*[:=]""")
        line = next((number for number, line in enumerate(lines, 1) if spelled.match(line)), None)
        return Place(self._path, f"line {line}" if line else None)

    def _names(self, value: object, found: Description) -> ClassList | None:
        if isinstance(value, str):
            if not value.strip():
                return None
            file = self._existing(value.strip(), "", want_folder=False)
            if file is None:
                self._missing.add(self._place("names"), f"names: {value.strip()[:200]}")
                return None
            found.class_files.append(file)
            return list_in_lines(self._files, file, self._log)
        pairs: list[tuple[Any, Any]] = []
        if isinstance(value, list):
            pairs = list(enumerate(value))
        elif isinstance(value, dict):
            pairs = list(value.items())
        names: dict[int, str] = {}
        for key, name in pairs:
            class_id = key if isinstance(key, int) else whole_number(str(key).strip())
            if class_id is None or not isinstance(name, str):
                message = f"'names' has an entry {str(key)[:40]!r} that is no class id with a name."
                self._log.add("yolo.bad-yaml", self._place("names"), message)
            elif name.strip():
                names[class_id] = name
        return ClassList(self._path, names) if names else None

    def _check_count(self, value: object, names: ClassList | None) -> None:
        count = whole_number(value.strip()) if isinstance(value, str) else None
        if names is not None and count is not None and count != len(names.names):
            message = f"The file announces {count:,} classes and names {len(names.names):,}."
            self._log.add("yolo.class-count", self._place("nc"), message)

    def _resolve(self, key: str, value: str, root: str, split: Split, found: Description) -> None:
        if len(value) > _LONGEST_PATH:
            pass
        elif value.lower().endswith(".txt"):
            file = self._existing(value, root, want_folder=False)
            if file is not None:
                found.lists.append((file, split))
                return
        else:
            folder = self._existing(value, root, want_folder=True)
            if folder is not None:
                found.folders.append((folder, split))
                return
        self._missing.add(self._place(key), f"{key}: {value[:200]}")

    def _existing(self, value: str, root: str, *, want_folder: bool) -> str | None:
        """The folder with pictures, or the file, that a path means.

        Paths are written on other machines (`/content/set/train/images`) or for another current folder
        (`../train/images`): leading parts that do not exist here are left out, but never the name of a split.
        The first folder may be an archive here.
        """
        here = dirname(self._path)
        written = value.replace("\\", "/").partition("*")[0]
        tries = [join(here, root.replace("\\", "/"), written), join(here, written), written]
        parts = [part for part in written.split("/") if part not in ("", ".", "..")]
        for at in range(len(parts) if len(parts) <= _DEEPEST_PATH else 0):
            archive = f"{parts[at]}.zip"
            for ending in (parts[at:], [archive, *parts[at:]], [archive, *parts[at + 1 :]]):
                tries += [join(here, *ending), join(*ending)]
            if split_of_folders(f"{parts[at]}/") is not None:
                break
        if not parts:
            tries.append(here)
        for one in tries:
            path = normpath(one)
            path = "" if path == "." else path
            if self._files.has_pictures(path) if want_folder else self._files.has(path):
                return path
        return None


def _pose_columns(value: object) -> int | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    points, each = (whole_number(part) if isinstance(part, str) else None for part in value)
    if not points or each not in (2, 3) or points * each > _MAX_POSE_COLUMNS:
        return None
    return 5 + points * each
