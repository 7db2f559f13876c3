"""Which picture a Label Studio task means: uploads were renamed, storage is reached through addresses."""

from __future__ import annotations

import re
from posixpath import basename
from typing import Any
from urllib.parse import parse_qs, unquote

from dataprep_job.catalogue import Groups
from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension
from dataprep_job.defects import DefectLog, Place
from dataprep_job.readers.json_values import shown

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)
"""Uploads are stored as `3f2a9c01-name.jpg`."""

_LOCAL_FILES = "/data/local-files/?"
_NOT_KEPT = re.compile(r"[^-\w.]")
_ABOUT_THE_TASK = frozenset(("created_at", "updated_at", "file_upload"))


class LabelStudioPictures:
    """Pictures of one dataset as Label Studio's tasks name them."""

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._kept: Groups | None = None

    def find(self, data: dict[str, Any], upload: Any, place: Place) -> str | None:
        """The picture of a task; None, with a defect, where none or more than one fits.

        Args:
            data: the task's data, or a whole object of JSON-MIN.
            upload: the task's `file_upload`, which is used where the data names no picture.
            place: of the task.
        """
        reference = _reference(data, upload)
        if reference is None:
            said = ", ".join(f"{key[:40]}: {shown(value)}" for key, value in list(data.items())[:5])
            self._log.add("labelstudio.bad-task", place, f"The data names no single picture: {said[:200]}.")
            return None
        path = _path(reference)
        if self._named(basename(path)):
            return self._files.locate(path, place)
        uploaded = _UPLOADED.fullmatch(basename(path))
        if uploaded is None:
            return self._files.locate(path, place)
        original = uploaded[1]
        if not self._named(original):
            kept = self._by_kept_name(original)
            if len(kept) == 1:
                return kept[0]
        return self._files.locate(original, place)

    def _named(self, name: str) -> bool:
        return any(self._files.pictures_named(written) for written in {name, unquote(name)})

    def _by_kept_name(self, name: str) -> list[str]:
        """Pictures that have this name after an upload, which turns blanks into `_` and drops brackets."""
        if self._kept is None:
            self._kept = self._files.groups(1)
            for path in self._files.pictures():
                if (kept := _kept_name(basename(path))) != basename(path):
                    self._kept.add(kept, path)
            self._kept.index()
        return [path for (path,) in self._kept.get(unquote(name))]


def _reference(data: dict[str, Any], upload: Any) -> str | None:
    """What names the picture: `image`, else the only value that looks like a picture, else the only text."""
    image = data.get("image")
    if isinstance(image, str) and image.strip():
        return image.strip()
    texts = [
        value.strip()
        for key, value in data.items()
        if isinstance(value, str) and value.strip() and key not in _ABOUT_THE_TASK
    ]
    pictures = [text for text in texts if extension(_path(text)) in PICTURE_EXTENSIONS]
    if isinstance(upload, str) and upload.strip() and not pictures:
        return upload.strip()
    found = dict.fromkeys(pictures or texts)
    return next(iter(found)) if len(found) == 1 else None


def _path(reference: str) -> str:
    """The path in an address: without its query, unless the query is what holds the path."""
    _, local, query = reference.partition(_LOCAL_FILES)
    if local:
        return parse_qs(query).get("d", [""])[0] or reference
    if reference.startswith(("http://", "https://", "/data/")):
        return reference.partition("?")[0]
    return reference


def _kept_name(name: str) -> str:
    """What becomes of a file's name when it is uploaded (Django's `get_valid_filename`)."""
    return _NOT_KEPT.sub("", name.strip().replace(" ", "_"))
