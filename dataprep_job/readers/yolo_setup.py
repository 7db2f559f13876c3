"""What stands around YOLO labels: class names and splits, from `data.yaml`, darknet's files and class lists.

Which of several class lists holds for a label file: that of a description which names the picture's folder or
lists the picture; that nearest above the label file; or one that lies apart from all pictures. Where those
that hold differ in the meaning of a class id, its boxes are not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import basename, dirname
from typing import NamedTuple

from dataprep_job.configuration import FILE_NAME
from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, beside, extension, split_of_folders
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.file_source import SourceFile
from dataprep_job.labels import Split
from dataprep_job.readers.class_lists import ClassList, ClassNames, list_in_json, list_in_lines
from dataprep_job.readers.yolo_description import (
    MAX_BYTES,
    Description,
    read_darknet_description,
    read_yaml_description,
)
from dataprep_job.readers.yolo_rows import look_like_labels
from dataprep_job.text_lines import whole_lines

_HELD_OUT_FIRST: tuple[Split, ...] = ("test", "validation", "train")
_SPLIT_LISTS: dict[str, Split] = {
    "train.txt": "train",
    "val.txt": "validation",
    "valid.txt": "validation",
    "validation.txt": "validation",
    "test.txt": "test",
}
_CLASS_FILES = ("classes.txt", "_darknet.labels", "notes.json")
_PEEK = 64 << 10


class Setting(NamedTuple):
    """What holds for one picture and its label file; `names` is None where nothing names the classes."""

    names: ClassNames | None
    pose_columns: int | None
    split: Split | None


class YoloSetup:
    """Class lists, descriptions and split lists of a dataset; claimed and reported by `claim` only."""

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._defects = DefectLog()
        self._descriptions = [*self._yaml_descriptions(), *self._darknet_descriptions()]
        self._class_lists = list(self._find_class_lists())
        self._owned = {description.file for description in self._descriptions}
        self._owned.update(file for description in self._descriptions for file in description.class_files)
        self._owned.update(each.file for each in self._class_lists)
        self._folders: dict[str, list[tuple[Split, int]]] = {}
        self._lists: dict[str, list[tuple[Split, int | None]]] = {}
        for number, description in enumerate(self._descriptions):
            for folder, split in description.folders:
                self._folders.setdefault(folder, []).append((split, number))
            for path, split in description.lists:
                self._lists.setdefault(path, []).append((split, number))
        self._find_split_lists()
        self._owned.update(self._lists)
        self._listed = files.groups(3)
        self._read_split_lists()
        self._placed = {each.file for each in self._descriptions if each.folders or each.lists}
        self._described_in = _by_folder(each.names for each in self._descriptions)
        self._listed_in = _by_folder(self._class_lists)
        self._meanings: dict[tuple[str, ...], ClassNames] = {}
        self._near_folder: str | None = None
        self._near: list[ClassList] = []
        self._lenders: list[ClassList] | None = None

    @property
    def has_description(self) -> bool:
        """Whether a file says that this is a YOLO dataset."""
        return bool(self._descriptions)

    @property
    def has_names(self) -> bool:
        """Whether any class is named anywhere."""
        return bool(self._class_lists) or any(each.names for each in self._descriptions)

    @property
    def pose_columns(self) -> int | None:
        """The number of columns of labels with key points, where a description announces them."""
        return next((each.pose_columns for each in self._descriptions if each.pose_columns), None)

    def owns(self, path: str) -> bool:
        """Whether a file is part of the setup, and so no label file."""
        return path in self._owned

    def lists(self, picture: str) -> bool:
        """Whether a split list names this picture."""
        return bool(self._lists) and bool(self._listed.get(picture))

    def setting(self, label: str, picture: str) -> Setting:
        """What holds for a label file and its picture."""
        rows = self._listed.get(picture) if self._lists else []
        numbers = {number for _, path, _ in rows for _, number in self._lists[path] if number is not None}
        uses = self._uses_of_folder(dirname(picture))
        numbers.update(number for _, number in uses)
        described = [self._descriptions[number] for number in sorted(numbers)]
        pose_columns = next((each.pose_columns for each in described if each.pose_columns), None)
        return Setting(
            self._names_for(dirname(label), [each.names for each in described if each.names is not None]),
            pose_columns or self.pose_columns,
            self._listed_split(picture, rows)
            or _agreed({split for split, _ in uses})
            or self._split_of_folders(label, picture),
        )

    def split_of(self, picture: str) -> Split | None:
        """The split of a picture that has no label file."""
        return self.setting(picture, picture).split

    def claim(self) -> None:
        """Claim the files of the setup and report what is wrong with them."""
        for path in sorted(self._owned):
            self._files.claim(path)
        self._defects.settle()
        self._log.extend(self._defects.listed())
        for path, uses in sorted(self._folders.items()):
            file = self._descriptions[uses[0][1]].file
            self._report_overlap(path, {split for split, _ in uses}, file)
        for path, named in sorted(self._lists.items()):
            self._report_overlap(path, {split for split, _ in named}, path)

    def _report_overlap(self, path: str, splits: set[Split], file: str) -> None:
        if len(splits) > 1 and _agreed(splits) is None:
            message = f"{path or 'The whole dataset'} is named for train and for a held-out split as well."
            self._log.add("yolo.split-overlap", Place(file), message)

    def finish(self) -> list[str]:
        """Report class ids without one meaning; returns all class names in the order of their ids."""
        in_order: dict[str, None] = {}
        for names in self._meanings.values():
            names.report(self._log)
            in_order.update(dict.fromkeys(names.in_order()))
        return list(in_order)

    def drop(self) -> None:
        """Give the space of the split lists back."""
        self._listed.drop()

    def _yaml_descriptions(self) -> Iterator[Description]:
        for wanted in ("yaml", "yml"):
            for path, data in self._heads(wanted):
                if basename(path) == FILE_NAME:
                    continue
                description = read_yaml_description(path, data, self._files, self._defects)
                if description is not None:
                    yield description

    def _darknet_descriptions(self) -> Iterator[Description]:
        for path, data in self._heads("data"):
            description = read_darknet_description(path, data, self._files, self._defects)
            if description is not None:
                yield description

    def _heads(self, wanted: str) -> Iterator[tuple[str, bytes]]:
        """Files of an extension; of those that are too large, a little more than is allowed."""
        small: list[SourceFile] = []
        for file in self._files.unclaimed(wanted):
            if file.size <= MAX_BYTES:
                small.append(file)
            else:
                yield file.path, self._peek(file.path, MAX_BYTES + 1)
        for file, data in self._files.read_many(small):
            yield file.path, data

    def _find_class_lists(self) -> Iterator[ClassList]:
        paths = [path for name in _CLASS_FILES for path in self._files.named(name)]
        paths += [file.path for file in self._files.unclaimed("names")]
        for path in sorted(set(paths)):
            if self._files.has(beside(path, "images.txt")):
                continue  # CUB's `classes.txt` has ids in it
            if extension(path) == "json":
                found = list_in_json(self._files, path, self._defects)
            elif extension(path) == "txt" and look_like_labels(self._peek(path)):
                continue
            else:
                found = list_in_lines(self._files, path, self._defects)
            if found is not None and found.names:
                yield found

    def _find_split_lists(self) -> None:
        """Lists that are known by their name only, as darknet's: lines that name pictures."""
        for name, split in _SPLIT_LISTS.items():
            for path in self._files.named(name):
                if path in self._lists or "ImageSets" in path.split("/"):
                    continue
                head = self._peek(path).decode("utf-8-sig", errors="replace").strip()
                first = head.splitlines()[0] if head else ""
                if extension(first.strip()) in PICTURE_EXTENSIONS:
                    self._lists[path] = [(split, None)]

    def _read_split_lists(self) -> None:
        unknown = self._defects.bundle(
            "split.unknown-image", "A list names pictures that the dataset lacks: {subject}."
        )
        for path, uses in self._lists.items():
            split = _agreed({split for split, _ in uses})
            stream = self._files.open(path)
            if stream is None:
                continue
            with stream:
                for number, line in whole_lines(stream, path, self._defects):
                    written = line.strip()
                    found = self._files.find(written, path) if written else []
                    if len(found) == 1:
                        self._listed.add(found[0], split, path, number)
                    elif written:
                        unknown.add(at_line(path, number), written[:200])
        self._listed.index()

    def _peek(self, path: str, size: int = _PEEK) -> bytes:
        stream = self._files.open(path)
        if stream is None:
            return b""
        with stream:
            return stream.read(size)

    def _uses_of_folder(self, folder: str) -> list[tuple[Split, int]]:
        """The splits that descriptions give to the pictures of a folder, and the descriptions' numbers."""
        for each in _upwards(folder):
            if each in self._folders:
                return self._folders[each]
        return []

    def _listed_split(self, picture: str, rows: list[tuple[Split | None, str, int]]) -> Split | None:
        named = {split: (path, number) for split, path, number in reversed(rows) if split is not None}
        if len(named) > 1:
            kept, *others = (split for split in _HELD_OUT_FIRST if split in named)
            path, number = named[others[-1]]
            message = (
                f"{picture} is listed for {others[-1]} here and for {kept} in {named[kept][0]}; {kept} holds."
            )
            self._log.add("split.conflict", at_line(path, number), message)
        return next((split for split in _HELD_OUT_FIRST if split in named), None)

    def _split_of_folders(self, label: str, picture: str) -> Split | None:
        of_picture, of_label = split_of_folders(picture), split_of_folders(label)
        if of_picture is None or of_label is None or of_picture == of_label:
            return of_picture or of_label
        kept = next(split for split in _HELD_OUT_FIRST if split in (of_picture, of_label))
        message = f"The label file lies in {of_label}, its picture {picture} in {of_picture}; {kept} holds."
        self._log.add("split.conflict", Place(label), message)
        return kept

    def _names_for(self, folder: str, described: list[ClassList]) -> ClassNames | None:
        if folder != self._near_folder:
            self._near_folder = folder
            self._near = [*_nearest(self._described_in, folder), *_nearest(self._listed_in, folder)]
        # A description of other pictures says nothing about those that have one of their own.
        near = [each for each in self._near if not described or each.file not in self._placed]
        lists = {each.file: each for each in (*described, *near)}
        if not lists:
            lists = {each.file: each for each in self._lending()}
        if not lists:
            return None
        key = tuple(lists)
        if key not in self._meanings:
            self._meanings[key] = ClassNames(lists.values())
        return self._meanings[key]

    def _lending(self) -> list[ClassList]:
        """Lists that lie apart from all pictures: those among pictures belong to these."""
        if self._lenders is None:
            described = [
                each.names
                for each in self._descriptions
                if each.names is not None and each.file not in self._placed
            ]
            self._lenders = [
                each
                for each in (*described, *self._class_lists)
                if not self._files.has_pictures(dirname(each.file))
            ]
        return self._lenders


def _agreed(splits: set[Split]) -> Split | None:
    """The split of pictures that are named for several; None where training and judging would mix."""
    if len(splits) == 1:
        return next(iter(splits))
    # One folder for `val` and `test` means that there is no test split of its own.
    return "validation" if splits == {"validation", "test"} else None


def _by_folder(lists: Iterable[ClassList | None]) -> dict[str, list[ClassList]]:
    found: dict[str, list[ClassList]] = {}
    for each in lists:
        if each is not None:
            found.setdefault(dirname(each.file), []).append(each)
    return found


def _nearest(by_folder: dict[str, list[ClassList]], folder: str) -> list[ClassList]:
    return next((by_folder[each] for each in _upwards(folder) if each in by_folder), [])


def _upwards(folder: str) -> Iterator[str]:
    """A folder and all folders around it, up to the dataset itself."""
    yield folder
    while folder:
        folder = dirname(folder)
        yield folder
