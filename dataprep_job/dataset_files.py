"""The files of one dataset as readers look at them: by folder, by name, pictures apart from annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from posixpath import basename, dirname, join, normpath
from typing import BinaryIO
from urllib.parse import unquote

from dataprep_job.catalogue import Catalogue, Groups, insert_files
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
_NEEDS_CARE = re.compile(r"[\\/%\s]")
_PROSE = re.compile(r"(readme|licen[cs]e|notice|changelog|citation)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
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
        split = _SPLIT_FOLDERS.get(part.lower().removesuffix(".zip"))
        if split is not None:
            return split
    return None


def split_of_name(path: str) -> Split | None:
    """The split that a word in the file's own name names (`instances_train2017.json`); None for several."""
    words = _WORD.findall(path[path.rfind("/") + 1 :])
    splits = {_SPLIT_FOLDERS[word.lower()] for word in words if word.lower() in _SPLIT_FOLDERS}
    return splits.pop() if len(splits) == 1 else None


class DatasetFiles:
    """Indexed files of one dataset. Readers `claim` what they understood; the rest is reported."""

    def __init__(self, source: FileSource, log: DefectLog, catalogue: Catalogue | None = None) -> None:
        self._source = source
        self._log = log
        self._catalogue = catalogue or Catalogue()
        self._database = self._catalogue.database
        self._has_folded = False
        insert_files(self._catalogue, map(_described, source.files()))
        log.extend(source.refused())

    def has(self, path: str) -> bool:
        """Whether the dataset holds this very path."""
        return self._catalogue.one("SELECT 1 FROM files WHERE path = ?", (path,)) is not None

    def is_picture(self, path: str) -> bool:
        """Whether the dataset holds a picture at this path."""
        return bool(self._catalogue.one("SELECT is_picture FROM files WHERE path = ?", (path,)))

    def pictures(self) -> Iterator[str]:
        """Paths of all pictures, sorted."""
        for (path,) in self._database.execute("SELECT path FROM files WHERE is_picture ORDER BY path"):
            yield path

    def named(self, name: str) -> list[str]:
        """Paths of all files with exactly this name, in any folder, sorted."""
        rows = self._database.execute(
            "SELECT path FROM files WHERE stem = ? AND extension = ? ORDER BY path",
            (stem(name), extension(name)),
        )
        return [path for (path,) in rows if basename(path) == name]

    def pictures_named(self, name: str) -> list[str]:
        """Paths of all pictures with exactly this name, in any folder, sorted."""
        return [path for path in self.named(name) if extension(path) in PICTURE_EXTENSIONS]

    def _only_picture_named(self, name: str) -> str | None:
        """The picture of this name where there is just one; None where the question takes longer."""
        rows = self._database.execute(
            "SELECT path FROM files WHERE stem = ? AND extension = ? AND is_picture LIMIT 2",
            (stem(name), extension(name)),
        ).fetchall()
        return rows[0][0] if len(rows) == 1 and basename(rows[0][0]) == name else None

    def pictures_with_stem(self, name: str) -> list[str]:
        """Paths of all pictures with this name before the extension, in any folder, sorted."""
        query = "SELECT path FROM files WHERE stem = ? AND is_picture ORDER BY path"
        return [path for (path,) in self._database.execute(query, (name,))]

    def pictures_called(self, path: str) -> list[str]:
        """Paths of the pictures at this path whatever their extension, sorted: `a/x` has `a/x.jpg`."""
        rows = self._database.execute(
            "SELECT path FROM files WHERE path > ? AND path < ? AND stem = ? AND is_picture ORDER BY path",
            (f"{path}.", f"{path}/", basename(path)),
        )
        return [found for (found,) in rows]

    def has_pictures(self, folder: str) -> bool:
        """Whether a picture lies in this folder or below it; '' is the whole dataset."""
        if not folder:
            return self._catalogue.one("SELECT 1 FROM files WHERE is_picture LIMIT 1") is not None
        query = "SELECT 1 FROM files WHERE path > ? AND path < ? AND is_picture LIMIT 1"
        return self._catalogue.one(query, (f"{folder}/", f"{folder}0")) is not None

    def is_annotated(self, picture: str) -> bool:
        """Whether a reader has already given a record of this picture, or lost it."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM records WHERE image = ?) "
            "OR EXISTS (SELECT 1 FROM lost WHERE image = ?)"
        )
        self._catalogue.flush()
        return bool(self._catalogue.one(query, (picture, picture)))

    def spelled_like(self, path: str) -> str | None:
        """A file that differs from the path in upper and lower case only."""
        if not self._has_folded:
            self._has_folded = True
            self._database.execute("CREATE TABLE folded (folded TEXT, path TEXT)")
            self._database.create_function("casefold", 1, str.casefold, deterministic=True)
            self._database.execute("INSERT INTO folded SELECT casefold(path), path FROM files")
            self._database.execute("CREATE INDEX folded_paths ON folded (folded)")
        query = "SELECT min(path) FROM folded WHERE folded = ? AND path != ?"
        found: str | None = self._catalogue.one(query, (path.casefold(), path))
        return found

    def unclaimed(self, wanted: str) -> Iterator[SourceFile]:
        """Files of an extension (lower case, no dot), not pictures, that no reader has claimed yet."""
        last = ""
        while True:
            rows = self._database.execute(
                "SELECT path, size, version, tag FROM files WHERE extension = ? AND NOT is_picture "
                "AND path > ? AND NOT is_claimed ORDER BY path LIMIT 500",
                (wanted, last),
            ).fetchall()
            if not rows:
                return
            for row in rows:
                yield SourceFile(*row)
            last = rows[-1][0]

    def claim(self, path: str) -> None:
        """Mark a file as understood."""
        self._database.execute("UPDATE files SET is_claimed = 1 WHERE path = ?", (path,))

    def claim_below(self, folder: str, wanted: str) -> None:
        """Mark all files of an extension in a folder and the folders in it; '' is the whole dataset."""
        for file in list(self.unclaimed(wanted)):
            if not folder or file.path.startswith(folder.rstrip("/") + "/"):
                self.claim(file.path)

    def file(self, path: str) -> SourceFile:
        """The entry of a path that the dataset holds."""
        row = self._database.execute(
            "SELECT path, size, version, tag FROM files WHERE path = ?", (path,)
        ).fetchone()
        return SourceFile(*row)

    def read(self, path: str) -> bytes | None:
        """A small annotation file's bytes; None, with a defect, where it is gone or too large."""
        file = self.file(path)
        if not self._fits(file):
            return None
        try:
            return self._source.read(file)
        except FileGoneError as error:
            self._gone(file, error)
            return None

    def open(self, path: str) -> BinaryIO | None:
        """An annotation file of any size as a stream; None, with a defect, where it is gone."""
        file = self.file(path)
        try:
            return self._source.open(file)
        except FileGoneError as error:
            self._gone(file, error)
            return None

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        """Numbered lines of a text file of any size that are not blank (see `text_lines`)."""
        stream = self.open(path)
        if stream is not None:
            with stream:
                yield from text_lines(stream, path, self._log)

    def read_many(self, files: Iterable[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Small annotation files in order, fetched ahead; those gone or too large become defects."""
        for file, data in read_many(self._source, (file for file in files if self._fits(file))):
            if isinstance(data, FileGoneError):
                self._gone(file, data)
            else:
                yield file, data

    def groups(self, columns: int) -> Groups:
        """A place outside memory to gather rows by key, for files whose entries come in any order."""
        return Groups(self._catalogue, columns)

    def locate(self, reference: str, place: Place) -> str | None:
        """The picture that an annotation means; None, with a defect, where none or more than one fits.

        References are what tools wrote on other machines: paths relative to the annotation, to the dataset
        or to a folder that is not here, absolute paths, URLs and s3:// addresses, with slashes of any kind
        and percent-encoding. The picture that shares most trailing parts with the reference is meant; among
        several, the one nearest to the annotation. Only pictures of the dataset can be found.

        Args:
            reference: as written in the annotation.
            place: where it is written; `place.file` decides what is near.
        """
        found = self.find(reference, place.file)
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(found[:3])
            self._log.add(
                "image.ambiguous", place, f"{reference[:200]!r} can be any of {len(found)}: {several}."
            )
            return None
        twin = self.spelled_like(join(dirname(place.file), reference)) or self.spelled_like(reference)
        meant = f" Did you mean {twin}?" if twin else ""
        self._log.add("image.missing", place, f"There is no picture {reference[:200]!r}.{meant}")
        return None

    def find(self, reference: str, annotation: str) -> list[str]:
        """What `locate` chooses from: the pictures that a reference in an annotation fits best, sorted."""
        if not _NEEDS_CARE.search(reference):
            only = self._only_picture_named(reference)
            if only is not None:
                return [only]
        several: list[str] = []
        for written in dict.fromkeys((reference, unquote(reference))):
            found = self._candidates(written.strip().replace("\\", "/"), annotation)
            if len(found) == 1:
                return found
            several = several or found
        return several

    def _candidates(self, written: str, annotation: str) -> list[str]:
        only = self._only_picture_named(written[written.rfind("/") + 1 :])
        if only is not None:
            return [only]
        for path in (normpath(join(dirname(annotation), written)), normpath(written)):
            if self.is_picture(path):
                return [path]
        address = written.partition("?")[0] if "://" in written else written
        wanted = [part for part in address.split("/") if part not in ("", ".", "..")]
        candidates = self.pictures_named(wanted[-1]) if wanted else []
        if len(candidates) < 2:
            return candidates
        ending = wanted[::-1]
        shared = {path: _shared(path.split("/")[::-1], ending) for path in candidates}
        most = max(shared.values())
        return self.nearest([path for path in candidates if shared[path] == most], dirname(annotation))

    def report_unclaimed(self, ignored: frozenset[str]) -> None:
        """Name the annotation-like files that nobody understood, all in one defect."""
        self._log.add_together(
            "file.not-understood",
            (
                (Place(file.path), file.path)
                for wanted in sorted(_ANNOTATION_EXTENSIONS)
                for file in self.unclaimed(wanted)
                if file.path not in ignored and not _PROSE.search(basename(file.path))
            ),
            "No reader understands {subject}.",
        )

    def nearest(self, candidates: list[str], folder: str) -> list[str]:
        """Those of the candidates that share most leading folders with `folder`, sorted."""
        if len(candidates) < 2:
            return candidates
        ranks = {
            path: (
                dirname(path) == folder,
                _shared(folder.split("/"), dirname(path).split("/")),
            )
            for path in candidates
        }
        best = max(ranks.values())
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

    def _gone(self, file: SourceFile, error: FileGoneError) -> None:
        self._log.add(error.code, Place(file.path), str(error))


def beside(path: str, name: str) -> str:
    """The path of a file in the same folder as another one."""
    return join(dirname(path), name)


def _described(file: SourceFile) -> tuple[SourceFile, str, str, bool]:
    ending = extension(file.path)
    return file, stem(file.path), ending, ending in PICTURE_EXTENSIONS


def _shared(one: list[str], other: list[str]) -> int:
    """How many leading parts two paths share."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
