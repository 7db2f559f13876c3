"""Which picture a CVAT file means: by the name of an `<image>`, or by the number of a video's frame."""

from __future__ import annotations

import re
from posixpath import basename, dirname, join, normpath

from dataprep_job.catalogue import Groups
from dataprep_job.dataset_files import PICTURE_EXTENSIONS, DatasetFiles, extension, stem
from dataprep_job.defects import DefectLog, Place

_LAST_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,9}$")


class CvatPictures:
    """Pictures of one dataset as CVAT's files name them."""

    def __init__(self, files: DatasetFiles, log: DefectLog) -> None:
        self._files = files
        self._log = log
        self._numbered: Groups | None = None

    def named(self, name: str, subset: str, place: Place) -> str | None:
        """The picture of an `<image>`; None, with a defect, where none or more than one fits."""
        name = name.replace("\\", "/")
        for folder in _layout(place.file, subset):
            path = normpath(join(folder, name))
            if self._files.is_picture(path):
                return path
        if extension(name) not in PICTURE_EXTENSIONS:
            # Frames of a video are named without extension.
            found = self._nearest(self._files.pictures_with_stem(basename(name)), place.file, subset)
            if found:
                return self._only(found, repr(name[:200]), place)
        return self._files.locate(name, place)

    def of_frame(self, frame: int, subset: str, place: Place) -> str | None:
        """The picture of a frame; None, with a defect, where none or more than one fits."""
        found = self.candidates(frame, subset, place.file)
        if not found:
            message = f"There is no picture of frame {frame}, such as frame_{frame:06d}.jpg."
            self._log.add("image.missing", place, message)
            return None
        return self._only(found, f"Frame {frame}", place)

    def candidates(self, frame: int, subset: str, annotation: str) -> list[str]:
        """Pictures that can be a frame: named as CVAT names frames, else below the file and ending in it."""
        found = self._files.pictures_with_stem(f"frame_{frame:06d}")
        if not found:
            folder = dirname(annotation)
            found = [path for path in self._by_number(frame) if not folder or path.startswith(folder + "/")]
        return self._nearest(found, annotation, subset)

    def _by_number(self, number: int) -> list[str]:
        if self._numbered is None:
            self._numbered = self._files.groups(1)
            for path in self._files.pictures():
                written = _LAST_NUMBER.search(stem(path))
                if written:
                    self._numbered.add(int(written[0]), path)
            self._numbered.index()
        return [path for (path,) in self._numbered.get(number)]

    def _nearest(self, candidates: list[str], annotation: str, subset: str) -> list[str]:
        """Those of the candidates that lie where CVAT puts pictures, or else nearest to the file."""
        for folder in _layout(annotation, subset):
            found = [path for path in candidates if dirname(path) == folder]
            if found:
                return found
        return self._files.related(candidates, annotation)

    def _only(self, found: list[str], what: str, place: Place) -> str | None:
        if len(found) == 1:
            return found[0]
        several = ", ".join(found[:3])
        self._log.add("image.ambiguous", place, f"{what} can be any of {len(found)} pictures: {several}.")
        return None


def _layout(annotation: str, subset: str) -> list[str]:
    """Folders in which an export has its pictures, the likeliest first."""
    here = dirname(annotation)
    inside = (f"images/{subset or 'default'}", "images", subset, "")
    folders = (normpath(join(here, folder)) for folder in inside)
    return list(dict.fromkeys("" if folder == "." else folder for folder in folders))
