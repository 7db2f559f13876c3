"""The files of one dataset as readers look at them: by folder, by name, pictures apart from annotations."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from posixpath import basename, dirname, join

from dataprep_job.defects import DefectLog, Place
from dataprep_job.errors import FileGoneError
from dataprep_job.file_source import FileSource, SourceFile, read_many
from dataprep_job.labels import Split
from dataprep_job.text_lines import text_lines

PICTURE_EXTENSIONS = frozenset((
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "gif", "heic", "heif", "avif",
    "jp2", "jxl", "raw", "cr2", "nef", "dng",
))  # fmt: skip
"""What annotation teams upload as pictures; the inspection says which of them can be used."""

MAX_ANNOTATION_BYTES = 256 << 20

_ANNOTATION_EXTENSIONS = frozenset(
    [
        "xml",
        "json",
        "jsonl",
        "manifest",
        "csv",
        "tsv",
        "txt",
        "yaml",
        "yml",
        "lst",
        "names",
        "data",
        "tfrecord",
    ]
)
_PROSE = re.compile(r"(readme|licen[cs]e|notice|changelog|citation)", re.IGNORECASE)
_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def stem(path: str) -> str:
    """The file's name without folder and extension; `a.b.jpg` gives `a.b`."""
    name = path[path.rfind("/") + 1 :]
    return name.rpartition(".")[0] or name


def extension(path: str) -> str:
    """The extension in lower case without its dot."""
    _, dot, ending = path[path.rfind("/") + 1 :].rpartition(".")
    return ending.lower() if dot else ""


def split_of_folders(path: str) -> Split | None:
    """The split that a folder of the path names (`train/…`, `valid/…`); the innermost one counts."""
    for part in reversed(path.split("/")[:-1]):
        split = _SPLIT_FOLDERS.get(part.lower())
        if split is not None:
            return split
    return None


class DatasetFiles:
    """Indexed files of one dataset. Readers `claim` what they understood; the rest is reported."""

    def __init__(self, source: FileSource, log: DefectLog) -> None:
        self._source = source
        self._log = log
        self._claimed: set[str] = set()
        self.by_path: dict[str, SourceFile] = {file.path: file for file in source.files()}
        self._by_folded_path: dict[str, str] | None = None
        self.pictures: dict[str, SourceFile] = {}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._pictures_by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_extension: dict[str, list[SourceFile]] = defaultdict(list)
        for path, file in self.by_path.items():
            self._by_name[basename(path)].append(path)
            self._by_extension[extension(path)].append(file)
            if extension(path) in PICTURE_EXTENSIONS:
                self.pictures[path] = file
                self._pictures_by_stem[stem(path)].append(path)
        for path, reason in source.refused():
            log.add("path.outside", Place(path), f"{path!r} is not used: {reason}.")

    def named(self, name: str) -> list[str]:
        """Paths of all files with exactly this name, in any folder."""
        return self._by_name.get(name, [])

    def pictures_named(self, name: str) -> list[str]:
        """Paths of all pictures with exactly this name, in any folder."""
        return [path for path in self.named(name) if path in self.pictures]

    def pictures_with_stem(self, name: str) -> list[str]:
        """Paths of all pictures with this name before the extension, in any folder."""
        return self._pictures_by_stem.get(name, [])

    def spelled_like(self, path: str) -> str | None:
        """A file that differs from the path in upper and lower case only."""
        if self._by_folded_path is None:
            self._by_folded_path = {known.casefold(): known for known in self.by_path}
        return self._by_folded_path.get(path.casefold())

    def unclaimed(self, wanted: str) -> list[SourceFile]:
        """Files of an extension (lower case, no dot) that no reader has claimed yet."""
        return [file for file in self._by_extension.get(wanted, []) if file.path not in self._claimed]

    def claim(self, path: str) -> None:
        """Mark a file as understood."""
        self._claimed.add(path)

    def read(self, path: str) -> bytes | None:
        """An annotation file's bytes; None, with a defect, where it is gone or too large."""
        file = self.by_path[path]
        if not self._fits(file):
            return None
        try:
            return self._source.read(file)
        except FileGoneError:
            self._gone(file)
            return None

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        """Numbered lines of a text file that are not blank (see `text_lines`)."""
        data = self.read(path)
        return text_lines(data, path, self._log) if data is not None else iter(())

    def read_many(self, files: Iterable[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Annotation files in order, fetched ahead; those that are gone or too large become defects."""
        for file, data in read_many(self._source, (file for file in files if self._fits(file))):
            if data is None:
                self._gone(file)
            else:
                yield file, data

    def report_unclaimed(self, ignored: frozenset[str]) -> None:
        """Name the annotation-like files that nobody understood, all in one defect."""
        left = [
            (Place(file.path), file.path)
            for wanted in sorted(_ANNOTATION_EXTENSIONS)
            for file in self.unclaimed(wanted)
            if file.path not in ignored and not _PROSE.search(basename(file.path))
        ]
        self._log.add_together("file.not-understood", left, "No reader understands {subject}.")

    def nearest(self, candidates: list[str], folder: str) -> list[str]:
        """Those of the candidates that share most leading folders with `folder`, sorted."""

        def shared(path: str) -> int:
            count = 0
            for one, other in zip(dirname(path).split("/"), folder.split("/"), strict=False):
                if one != other:
                    break
                count += 1
            return count

        ranks = {path: (dirname(path) == folder, shared(path)) for path in candidates}
        best = max(ranks.values(), default=None)
        return sorted(path for path, rank in ranks.items() if rank == best)

    def _fits(self, file: SourceFile) -> bool:
        if file.size <= MAX_ANNOTATION_BYTES:
            return True
        self._log.add(
            "file.too-large",
            Place(file.path),
            f"The file has {file.size >> 20} MiB; annotations may have {MAX_ANNOTATION_BYTES >> 20} MiB.",
        )
        return False

    def _gone(self, file: SourceFile) -> None:
        self._log.add("file.gone", Place(file.path), "The file was deleted while the dataset was read.")


def beside(path: str, name: str) -> str:
    """The path of a file in the same folder as another one."""
    return join(dirname(path), name)
