"""Where a dataset's files come from: a folder on disk, or (`snapshot_source`) exact object versions in S3."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataprep_job.errors import FileGoneError, SourceError
from dataprep_job.ordered_map import ordered_map

PREFETCH_BYTES = 256 << 20
"""How much may wait in memory while files are fetched ahead."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a dataset. `path` is relative to the dataset, with '/'; `version` is an S3 version id."""

    path: str
    size: int
    version: str | None = None


class FileSource(Protocol):
    """The files of one dataset. Implementations are safe to read from several threads."""

    read_threads: int
    """How many reads at once pay: 1 for a disk, many where every read waits for a network."""

    def files(self) -> list[SourceFile]:
        """Every file, sorted by path. Unsafe paths are not among them."""
        ...

    def refused(self) -> list[tuple[str, str]]:
        """Paths that were left out, each with the reason."""
        ...

    def read(self, file: SourceFile) -> bytes:
        """The bytes of one file. Raises FileGoneError where it is no longer there."""
        ...


def why_unsafe(path: str) -> str | None:
    """Why a relative path may not be used, or None where it is safe: it must stay inside its dataset."""
    if "\0" in path or "\n" in path or "\r" in path or "\t" in path:
        return "the name holds a control character"
    if path.startswith("/") or "\\" in path:
        return "the name is absolute or holds a backslash"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "the name holds an empty, '.' or '..' part"
    return None


def is_hidden(path: str) -> bool:
    """Files that operating systems and Nestbox itself leave behind: never part of a dataset."""
    parts = path.split("/")
    name = parts[-1]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or name in (
        "Thumbs.db",
        "desktop.ini",
        "_READY",
    )


class FolderSource:
    """A folder on disk. Links that lead out of it are refused; links to folders are not followed."""

    read_threads = 1

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SourceError(
                f"{root} is no folder: name the folder that holds the images and their annotations."
            )
        self._root = root.resolve()
        self._files: list[SourceFile] = []
        self._refused: list[tuple[str, str]] = []
        self._scan("")
        self._files.sort(key=lambda file: file.path)

    def _scan(self, start: str) -> None:
        folders = [start]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(path)
                        else:
                            self._add(path, entry)
            except OSError as error:
                raise SourceError(f"{self._root / folder} cannot be listed: {error.strerror}.") from error

    def _add(self, path: str, entry: os.DirEntry[str]) -> None:
        if is_hidden(path):
            return
        reason = why_unsafe(path)
        if reason is None and entry.is_symlink() and not self._leads_inside(entry):
            reason = "it is a link that leads out of the dataset"
        if reason is not None:
            self._refused.append((path, reason))
        elif entry.is_file():
            self._files.append(SourceFile(path, entry.stat().st_size))

    def _leads_inside(self, entry: os.DirEntry[str]) -> bool:
        return Path(entry.path).resolve().is_relative_to(self._root)

    def files(self) -> list[SourceFile]:
        """Every file, sorted by path."""
        return self._files

    def refused(self) -> list[tuple[str, str]]:
        """Unsafe names and links that lead out."""
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


def read_many(source: FileSource, files: Iterable[SourceFile]) -> Iterator[tuple[SourceFile, bytes | None]]:
    """Read files in order, ahead where the source gains by it; None stands for a file that is gone."""

    def read(file: SourceFile) -> tuple[SourceFile, bytes | None]:
        try:
            return file, source.read(file)
        except FileGoneError:
            return file, None

    if source.read_threads == 1:
        return map(read, files)
    return ordered_map(read, files, source.read_threads, weight=lambda file: file.size, budget=PREFETCH_BYTES)
