"""Where a dataset's files come from: a folder on disk, or (`snapshot_source`) exact object versions in S3."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from dataprep_job.defects import Defect, Place
from dataprep_job.errors import FileGoneError, FileTooLargeError, SourceError
from dataprep_job.ordered_map import ordered_map

PREFETCH_BYTES = 256 << 20
"""How much may wait in memory while files are fetched ahead."""

MAX_READ_BYTES = 256 << 20
"""How large a file may be that is read whole: photos, and annotations of one picture, are smaller."""


class SourceFile(NamedTuple):
    """One file of a dataset.

    Attributes:
        path: relative to the dataset, with '/'.
        size: in bytes.
        version: S3 version id.
        tag: changes whenever the content does (ETag, time of last change); empty where nothing is known.
    """

    path: str
    size: int
    version: str | None = None
    tag: str = ""


class FileSource(Protocol):
    """The files of one dataset. Implementations are safe to read from several threads."""

    read_threads: int
    """How many reads at once pay: 1 for a disk, many where every read waits for a network."""

    def files(self) -> Iterable[SourceFile]:
        """Every file, sorted by path. Unsafe paths are not among them."""
        ...

    def refused(self) -> Iterable[Defect]:
        """What was left out, and why."""
        ...

    def read(self, file: SourceFile) -> bytes:
        """The bytes of one file. Raises FileGoneError where it is no longer there."""
        ...

    def open(self, file: SourceFile) -> BinaryIO:
        """The file as a stream that is read once, from its start. Raises FileGoneError."""
        ...


class RangedSource(FileSource, Protocol):
    """Files that can be read from any place in them."""

    def paths(self) -> Iterable[str]:
        """The path of every file, sorted."""
        ...

    def read_range(self, file: SourceFile, start: int, size: int) -> bytes:
        """`size` bytes from `start` on, fewer only at the file's end. Raises FileGoneError."""
        ...


def outside(path: str, reason: str) -> Defect:
    """A path that may not be used."""
    writable = path.encode(errors="backslashreplace").decode()
    return Defect("path.outside", Place(writable), f"{path!r} is not used: {reason}.")


_SUSPICIOUS = re.compile(r"[\0\n\r\t\\\ud800-\udfff]|(?:^|/)\.{0,2}(?:/|$)")
_HIDDEN = re.compile(r"(?:^|/)(?:\.|__MACOSX(?:/|$)|(?:Thumbs\.db|desktop\.ini|Icon\r|_READY)$)")


_ORDINARY = re.compile(r"[A-Za-z0-9][\w. -]*(?:/[A-Za-z0-9][\w. -]*)*", re.ASCII)
"""Almost all paths: neither suspicious nor, but for two that end in `.db` and `.ini`, hidden."""


def why_unsafe(path: str) -> str | None:
    """Why a relative path may not be used, or None where it is safe: it must stay inside its dataset."""
    if not _SUSPICIOUS.search(path):
        return None
    if not path.isascii() and any("\ud800" <= character <= "\udfff" for character in path):
        return "the name is not UTF-8"
    if "\0" in path or "\n" in path or "\r" in path or "\t" in path:
        return "the name holds a control character"
    if path.startswith("/") or "\\" in path:
        return "the name is absolute or holds a backslash"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "the name holds an empty, '.' or '..' part"
    return None


def is_hidden(path: str) -> bool:
    """Files that operating systems and Nestbox itself leave behind: never part of a dataset."""
    return _HIDDEN.search(path) is not None


class FolderSource:
    """A folder on disk. Links that lead out of it are refused; links to folders are not followed."""

    read_threads = 1

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SourceError(
                f"{root} is no folder: name the folder that holds the images and their annotations."
            )
        self._root = root.resolve()
        self._refused: list[Defect] = []

    def paths(self) -> Iterator[str]:
        """The path of every file, sorted."""
        return (path for path, _ in self._entries())

    def files(self) -> Iterator[SourceFile]:
        """Every file, sorted by path."""
        for path, entry in self._entries():
            status = entry.stat()
            yield SourceFile(path, status.st_size, tag=str(status.st_mtime_ns))

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        self._refused = []
        folders = [self._listed("")]
        while folders:
            path, entry = next(folders[-1], (None, None))
            if path is None or entry is None:
                folders.pop()
            elif entry.is_dir(follow_symlinks=False):
                folders.append(self._listed(path))
            elif self._is_usable(path, entry):
                yield path, entry

    def _listed(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What a folder holds, in the order of the paths of all files in it."""
        try:
            with os.scandir(self._root / folder) as entries:
                found = sorted(
                    entries, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False)
                )
        except OSError as error:
            raise SourceError(f"{self._root / folder} cannot be listed: {error.strerror}.") from error
        return ((f"{folder}/{entry.name}" if folder else entry.name, entry) for entry in found)

    def _is_usable(self, path: str, entry: os.DirEntry[str]) -> bool:
        is_ordinary = _ORDINARY.fullmatch(path) and not path.endswith((".db", ".ini"))
        if not is_ordinary and is_hidden(path):
            return False
        reason = None if is_ordinary else why_unsafe(path)
        if reason is None and entry.is_symlink() and not self._leads_inside(entry):
            reason = "it is a link that leads out of the dataset"
        if reason is not None:
            self._refused.append(outside(path, reason))
        return reason is None and entry.is_file()

    def _leads_inside(self, entry: os.DirEntry[str]) -> bool:
        return Path(entry.path).resolve().is_relative_to(self._root)

    def refused(self) -> list[Defect]:
        """Unsafe names and links that lead out, as the last listing met them."""
        return self._refused

    def read(self, file: SourceFile) -> bytes:
        """The bytes of one file."""
        try:
            with open(f"{self._root}/{file.path}", "rb", buffering=0) as opened:  # noqa: PTH123  (half the time)
                return opened.read()
        except FileNotFoundError as error:
            raise FileGoneError(f"{file.path} was deleted while the dataset was read.") from error
        except OSError as error:
            raise SourceError(f"{file.path} cannot be read: {error.strerror}.") from error

    def read_range(self, file: SourceFile, start: int, size: int) -> bytes:
        """Bytes from any place of one file."""
        with self.open(file) as opened:
            try:
                opened.seek(start)
                return opened.read(size)
            except OSError as error:
                raise SourceError(f"{file.path} cannot be read: {error.strerror}.") from error

    def open(self, file: SourceFile) -> BinaryIO:
        """The file as a stream."""
        try:
            return open(f"{self._root}/{file.path}", "rb")  # noqa: PTH123  (the caller closes it)
        except FileNotFoundError as error:
            raise FileGoneError(f"{file.path} was deleted while the dataset was read.") from error
        except OSError as error:
            raise SourceError(f"{file.path} cannot be read: {error.strerror}.") from error


def read_one(source: FileSource, file: SourceFile) -> bytes | FileGoneError:
    """Read a file; an error stands for one that is gone, or larger than what is read at once."""
    if file.size > MAX_READ_BYTES:
        has = f"{file.path} has {file.size >> 20:,} MiB; {MAX_READ_BYTES >> 20} MiB are read at once."
        return FileTooLargeError(has)
    try:
        return source.read(file)
    except FileGoneError as error:
        return error


def read_many(
    source: FileSource, files: Iterable[SourceFile]
) -> Iterator[tuple[SourceFile, bytes | FileGoneError]]:
    """Read files in order as `read_one` does, ahead where the source gains by it."""

    def read(file: SourceFile) -> tuple[SourceFile, bytes | FileGoneError]:
        return file, read_one(source, file)

    if source.read_threads == 1:
        return map(read, files)
    return ordered_map(read, files, source.read_threads, weight=lambda file: file.size, budget=PREFETCH_BYTES)
