"""Which picture a YOLO label file belongs to: they share their name, and their folders correspond.

`labels/train/x.txt` and `images/train/x.jpg` (`labels` stands in the place of the last `images`), or both in
one folder.
"""

from __future__ import annotations

import re
from posixpath import dirname
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
        it has an annotation of its own.
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
        return Pairing(self._files.nearest(free, dirname(label)), is_usual=False)

    def _is_free(self, picture: str) -> bool:
        has_labels = any(self._files.has(label) for label in label_paths(picture))
        return not has_labels and not self._files.is_annotated(picture)


def is_among_labels(path: str) -> bool:
    """Whether a file lies below a folder called `labels`."""
    return "labels" in path.lower().split("/")[:-1]


def label_paths(picture: str) -> list[str]:
    """Where the label file of a picture may lie, the usual place first."""
    bare = picture.rpartition(".")[0]
    return [f"{path}.txt" for path in (*_swapped(bare, "images", "labels"), bare)]


def _picture_paths(label: str) -> list[str]:
    """Where the picture of a label file may lie, without its extension, the usual place first."""
    bare = label.rpartition(".")[0]
    return [*_swapped(bare, "labels", "images"), bare]


def _swapped(path: str, folder: str, other: str) -> list[str]:
    """The path with the last folder of a name replaced by another, in the same case; empty if it has none."""
    parts = path.split("/")
    for at in range(len(parts) - 2, -1, -1):
        part = parts[at]
        if part.lower() == folder:
            parts[at] = other.title() if part.istitle() else other.upper() if part.isupper() else other
            return ["/".join(parts)]
    return []
