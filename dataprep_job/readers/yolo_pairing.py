"""Which picture a YOLO label file belongs to: they share their name, and their folders correspond.

`labels/train/x.txt` and `images/train/x.jpg` (`labels` stands in the place of the last `images`; either may
be an archive), or both in one folder.
"""

from __future__ import annotations

import re
from posixpath import basename
from typing import NamedTuple

from dataprep_job.dataset_files import DatasetFiles, stem
from dataprep_job.readers.yolo_setup import YoloSetup

_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
"""Label Studio puts eight digits in front of the names of pictures that were uploaded to it."""


class Pairing(NamedTuple):
    """The pictures that a label file can belong to, and whether they lie where they should."""

    pictures: list[str]
    is_usual: bool


class Pairs:
    """Finds the pictures of label files."""

    def __init__(self, files: DatasetFiles, setup: YoloSetup) -> None:
        self._files = files
        self._setup = setup

    def has_usual_picture(self, label: str) -> bool:
        """Whether a picture lies where that of a label file should."""
        return any(self._files.pictures_called(path) for path in _picture_paths(label))

    def of(self, label: str) -> Pairing:
        """The pictures a label file can belong to; more than one where nothing tells them apart.

        Where no picture lies in the folder that corresponds, one of the same name elsewhere is meant, unless
        it has an annotation of its own and others have the same name.
        """
        for usual in _picture_paths(label):
            pictures = self._files.pictures_called(usual)
            if pictures:
                return Pairing(pictures, is_usual=True)
        if not self._setup.has_names and not is_among_labels(label):
            # Nothing but numbers and a name that a picture somewhere has as well: too little to go by.
            return Pairing([], is_usual=False)
        name = stem(label)
        pictures = self._files.pictures_with_stem(name) or self._files.pictures_named(name)
        if not pictures and _UPLOAD_PREFIX.match(name):
            pictures = self._files.pictures_with_stem(_UPLOAD_PREFIX.sub("", name, count=1))
        free = [picture for picture in pictures if self._is_free(picture)]
        if not free and len(pictures) == 1 and self._files.named(basename(label)) == [label]:
            # Two formats describe the only picture of this name: do they say the same? Found out later.
            free = pictures
        return Pairing(self._files.related(free, label), is_usual=False)

    def _is_free(self, picture: str) -> bool:
        has_labels = any(self._files.has(label) for label in label_paths(picture))
        return not has_labels and not self._files.is_annotated(picture)


def is_among_labels(path: str) -> bool:
    """Whether a file lies below a folder, or in an archive, called `labels`."""
    return any(part.removesuffix(".zip") == "labels" for part in path.lower().split("/")[:-1])


def label_paths(picture: str) -> list[str]:
    """Where the label file of a picture may lie, the usual place first."""
    bare = picture.rpartition(".")[0]
    return [f"{path}.txt" for path in (*_swapped(bare, "images", "labels"), bare)]


def _picture_paths(label: str) -> list[str]:
    """Where the picture of a label file may lie, without its extension, the usual place first."""
    bare = label.rpartition(".")[0]
    return [*_swapped(bare, "labels", "images"), bare]


def _swapped(path: str, folder: str, other: str) -> list[str]:
    """The path with the last folder of a name replaced by another, in the same case; empty if it has none.

    Either may be an archive of that name, with or without the folder in it: `images.zip/images/a` and
    `images.zip/a` are what programs make of `images/a`.
    """
    parts = path.split("/")
    for at in range(len(parts) - 2, -1, -1):
        part = parts[at].removesuffix(".zip")
        if part.lower() != folder:
            continue
        name = other.title() if part.istitle() else other.upper() if part.isupper() else other
        before, after = parts[:at], parts[at + 1 :]
        places = [[*before, name]]
        if before and before[-1].lower() == f"{folder}.zip":
            before = before[:-1]
        places += [[*before, f"{name}.zip", name], [*before, f"{name}.zip"], [*before, name]]
        return list(dict.fromkeys("/".join([*place, *after]) for place in places))
    return []
