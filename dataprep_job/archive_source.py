"""The files in a dataset's zip archives, beside its other files: read in place, never unpacked to disk.

An archive `batch1.zip` looks like a folder `batch1.zip/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import BinaryIO

from dataprep_job.archive_contents import ArchiveContents, is_other_archive, is_zip
from dataprep_job.defects import Defect, Place
from dataprep_job.file_source import FileSource, RangedSource, SourceFile
from dataprep_job.zip_member import open_member, unpack


def open_archives(source: RangedSource) -> FileSource:
    """The same dataset with the files in its zip archives; the source itself where it holds no archives.

    Raises:
        SourceError: the source cannot be read.
    """
    return ArchiveSource(source) if any(map(_is_archive, source.paths())) else source


class ArchiveSource:
    """The files of another source, and those in its zip archives under `<path of the zip>/<path in it>`.

    The archives themselves are not among the files. Their lists of contents are read at once and kept outside
    memory; members are read when they are asked for, by any number of threads.
    """

    def __init__(self, inner: RangedSource) -> None:
        """Read the lists of contents of all archives. Raises SourceError where the source cannot be read."""
        self.read_threads = inner.read_threads
        self._inner = inner
        self._contents = ArchiveContents()
        self._refused: list[Defect] = []
        for file in inner.files():
            if is_zip(file.path):
                self._refused += self._contents.add(file, inner)
            elif is_other_archive(file.path):
                message = f"{file.path} is an archive that is not opened."
                self._refused.append(Defect("archive.unsupported", Place(file.path), message))
        self._refused += self._contents.drop_taken(self._others())

    def files(self) -> Iterator[SourceFile]:
        """Every file, sorted by path."""
        return merge(self._others(), self._contents.files(), key=lambda file: file.path)

    def refused(self) -> Iterator[Defect]:
        """What the inner source left out, archives that are not opened, and members that are left out."""
        yield from self._inner.refused()
        yield from self._refused

    def read(self, file: SourceFile) -> bytes:
        """The bytes of one file.

        Raises:
            FileGoneError: it is gone, or (MemberDamagedError) not what its archive says it is.
        """
        packed = self._contents.find(file.path)
        return self._inner.read(file) if packed is None else unpack(self._inner, packed)

    def open(self, file: SourceFile) -> BinaryIO:
        """The file as a stream. A damaged member raises here, not later.

        Raises:
            FileGoneError: as for `read`.
        """
        packed = self._contents.find(file.path)
        return self._inner.open(file) if packed is None else open_member(self._inner, packed)

    def _others(self) -> Iterator[SourceFile]:
        return (file for file in self._inner.files() if not _is_archive(file.path))


def _is_archive(path: str) -> bool:
    return is_zip(path) or is_other_archive(path)
