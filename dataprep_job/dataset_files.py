"""The files of one dataset as readers look at them: by folder, by name, pictures apart from annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from posixpath import basename, dirname, join, normpath
from typing import BinaryIO
from urllib.parse import unquote

from dataprep_job.catalogue import Catalogue, Groups, insert_files
from dataprep_job.defects import DefectLog, Place
from dataprep_job.errors import FileGoneError
from dataprep_job.file_source import FileSource, SourceFile, read_many
from dataprep_job.labels import Split
from dataprep_job.spelling import name_before_upload, other_forms, plain
from dataprep_job.text_lines import text_lines

PICTURE_EXTENSIONS = frozenset((
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "gif", "heic", "heif", "avif",
    "jp2", "jxl", "raw", "cr2", "nef", "dng",
))  # fmt: skip
"""What annotation teams upload as pictures; the inspection says which of them can be used."""

MAX_ANNOTATION_BYTES = 256 << 20

_ANNOTATION_EXTENSIONS = frozenset((
    "xml", "json", "jsonl", "ndjson", "geojson", "manifest", "csv", "tsv", "txt", "yaml", "yml", "lst",
    "names", "data", "labels", "xls", "xlsx", "ods", "parquet", "mat", "npz", "pkl", "rec", "record",
    "tfrecord", "tfrecords", "pbtxt",
))  # fmt: skip
"""What may hold labels: where nobody reads it, that is said."""

_PROSE = re.compile(r"(readme|licen[cs]e|notice|changelog|citation)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_OF_A_YEAR = re.compile(r"([a-z]+)[-_ ]?(?:19|20)\d\d", re.ASCII)
_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


_ANY_FOLDER = frozenset((
    "images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "data", "dataset", "datasets",
    "upload", "uploads", "files", "default", "obj_train_data",
))  # fmt: skip
"""Folders whose names tell nothing about the pictures in them: tools put them in and leave them out."""


def stem(path: str) -> str:
    """The file's name without folder and extension; `a.b.jpg` gives `a.b`."""
    name = path[path.rfind("/") + 1 :]
    return name.rpartition(".")[0] or name


def extension(path: str) -> str:
    """The extension in lower case without its dot."""
    _, dot, ending = path[path.rfind("/") + 1 :].rpartition(".")
    return ending.lower() if dot else ""


def split_of_folders(path: str) -> Split | None:
    """The split that a folder of the path names (`train/…`, `valid/…`, `val2017/…`); the innermost counts."""
    for part in reversed(path.split("/")[:-1]):
        name = part.lower().removesuffix(".zip")
        split = _SPLIT_FOLDERS.get(name)
        if split is None and name[-1:].isdigit() and (dated := _OF_A_YEAR.fullmatch(name)):
            split = _SPLIT_FOLDERS.get(dated[1])
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
        self._has_plain_names = False
        self.is_repeatable = True
        """Whether all that was read lies in files that are there and that are no pictures."""
        insert_files(self._catalogue, map(_described, source.files()))
        self.refused = list(source.refused())
        """What the source left out, and why."""
        log.extend(self.refused)

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

    def only_pictures_named(self, names: Sequence[str]) -> dict[str, str]:
        """The paths of pictures by bare names (a few hundred) about which nothing has to be said.

        Each is the only picture with its stem and extension in the whole dataset.
        """
        marks = ", ".join("?" * len(names))
        found: dict[tuple[str, str], str | None] = {}
        rows = self._database.execute(
            f"SELECT stem, extension, path FROM files WHERE is_picture AND stem IN ({marks})",  # noqa: S608
            [stem(name) for name in names],
        )
        for own_stem, ending, path in rows:
            key = own_stem, ending
            found[key] = None if key in found else path
        return {basename(path): path for path in found.values() if path is not None}

    def pictures_with_stem(self, name: str) -> list[str]:
        """Paths of all pictures with this name before the extension, in any folder, sorted."""
        query = "SELECT path FROM files WHERE stem = ? AND is_picture ORDER BY path"
        for form in (name, *other_forms(name)):
            found = [path for (path,) in self._database.execute(query, (form,))]
            if found:
                return found
        return []

    def pictures_called(self, path: str) -> list[str]:
        """Paths of the pictures at this path whatever their extension, sorted: `a/x` has `a/x.jpg`."""
        query = "SELECT path FROM files WHERE path > ? AND path < ? AND stem = ? AND is_picture ORDER BY path"
        for form in (path, *other_forms(path)):
            values = f"{form}.", f"{form}/", basename(form)
            found = [one for (one,) in self._database.execute(query, values)]
            if found:
                return found
        return []

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
        """The only picture whose path is spelled differently, see `plain`."""
        wanted = plain(path)
        found = [one for one in self._pictures_spelled_like(basename(path)) if plain(one) == wanted]
        return found[0] if len(found) == 1 else None

    def _pictures_spelled_like(self, name: str) -> list[str]:
        """Paths of the pictures with this name or another spelling of it, in any folder, sorted."""
        if not self._has_plain_names:
            self._has_plain_names = True
            self._database.create_function("plain_name", 1, _plain_name, deterministic=True)
            self._database.execute("CREATE TABLE plain_names (name TEXT, path TEXT)")
            self._database.execute(
                "INSERT INTO plain_names SELECT plain_name(path), path FROM files WHERE is_picture"
            )
            self._database.execute("CREATE INDEX plain_names_by_name ON plain_names (name)")
        query = "SELECT path FROM plain_names WHERE name = ? ORDER BY path"
        return [path for (path,) in self._database.execute(query, (plain(name),))]

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
        """Mark all files of an extension in a folder and the folders in it."""
        self._database.execute(
            "UPDATE files SET is_claimed = 1 "
            "WHERE path > ? AND path < ? AND extension = ? AND NOT is_picture",
            (f"{folder}/", f"{folder}0", wanted),
        )

    def file(self, path: str) -> SourceFile:
        """The entry of a path that the dataset holds. Raises KeyError for any other path."""
        file = self._catalogue.file(path)
        if file is None:
            raise KeyError(path)
        return file

    def read(self, path: str) -> bytes | None:
        """A small annotation file's bytes; None, with a defect, where it is gone or too large."""
        file = self._asked(path)
        if not self._fits(file):
            return None
        try:
            return self._source.read(file)
        except FileGoneError as error:
            self._gone(file, error)
            return None

    def open(self, path: str) -> BinaryIO | None:
        """An annotation file of any size as a stream; None, with a defect, where it is gone."""
        file = self._asked(path)
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
        several, those `related` to the annotation. Where there is none of this name, one whose name is only
        spelled differently is taken, with a warning. Only pictures of the dataset can be found.

        Args:
            reference: as written in the annotation.
            place: where it is written; `place.file` decides what is near.
        """
        return self.decide(self.find(reference, place.file), reference, place)

    def decide(self, found: list[str], reference: str, place: Place) -> str | None:
        """The one picture found for a reference; None, with a defect, where there is none or several."""
        if len(found) == 1:
            if not f"/{found[0]}".endswith(f"/{reference}"):
                self.note_spelling(reference, found[0], place)
                self.note_folder(reference, found[0], place)
            return found[0]
        if found:
            several = ", ".join(found[:3])
            self._log.add(
                "image.ambiguous", place, f"{reference[:200]!r} can be any of {len(found)}: {several}."
            )
            return None
        name = basename(reference.strip().replace("\\", "/"))
        twins = self.pictures_with_stem(stem(name)) if name else []
        meant = f" Did you mean {twins[0]}?" if len(twins) == 1 else ""
        self._log.add("image.missing", place, f"There is no picture {reference[:200]!r}.{meant}")
        return None

    def find(self, reference: str, annotation: str) -> list[str]:
        """What `locate` chooses from: the pictures that a reference in an annotation fits best, sorted."""
        several: list[str] = []
        forms = [form.strip().replace("\\", "/") for form in dict.fromkeys((reference, unquote(reference)))]
        for search in (self._candidates, self._spelled_otherwise):
            for written in forms:
                found = search(written, annotation)
                if len(found) == 1:
                    return found
                several = several or found
            if several:
                # A bare name says nothing about folders; folders that are not here must not be ignored.
                return several if "/" in forms[-1] else self.likeliest(several, annotation)
        return []

    def note_spelling(self, reference: str, picture: str, place: Place) -> None:
        """Warn where a reference names the picture that it means, but spells it differently."""
        written, name = basename(reference.strip().replace("\\", "/")), basename(picture)
        if written == name:
            return
        unquoted = unquote(written)
        others = (written, unquoted, name_before_upload(written) or "")
        if unquoted != name and plain(name) in map(plain, others):
            bundle = self._log.bundle(
                "image.spelled-differently", "Pictures are named a little differently here: {subject}."
            )
            bundle.add(place, f"{written[:200]!r} is {picture}")

    def note_folder(self, reference: str, picture: str, place: Place) -> None:
        """Warn where a relative path names a folder that the picture found by its name does not lie in.

        Folders are renamed, but pictures that were numbered alike in several folders are others.
        """
        written = reference.strip().replace("\\", "/")
        if picture.endswith(written) or written.startswith("/") or ":" in written or "/" not in written:
            return
        named, own = (
            [folder for folder in map(_folder_name, parts[:-1]) if folder not in _ANY_FOLDER]
            for parts in (_parts_of(unquote(written)), picture.split("/"))
        )
        if named and own and named[-1] not in own:
            bundle = self._log.bundle(
                "image.other-folder", "Found by its name, but in another folder: {subject}."
            )
            bundle.add(place, f"{written[:200]!r} is {picture}")

    def _candidates(self, written: str, annotation: str) -> list[str]:
        only = self._only_picture_named(written[written.rfind("/") + 1 :])
        if only is not None:
            return [only]
        for path in (normpath(join(dirname(annotation), written)), normpath(written)):
            if self.is_picture(path):
                return [path]
        wanted = _parts_of(written)
        candidates = self.pictures_named(wanted[-1]) if wanted else []
        if len(candidates) < 2:
            return candidates
        ending = wanted[::-1]
        shared = {path: _shared(path.split("/")[::-1], ending) for path in candidates}
        most = max(shared.values())
        return self.related([path for path in candidates if shared[path] == most], annotation)

    def _spelled_otherwise(self, written: str, annotation: str) -> list[str]:
        """The pictures that fit a reference best whose name is only spelled differently."""
        wanted = _parts_of(written)
        if not wanted:
            return []
        candidates = self._pictures_spelled_like(wanted[-1])
        uploaded = name_before_upload(wanted[-1])
        if not candidates and uploaded:
            candidates = self._pictures_spelled_like(uploaded)
        if len(candidates) < 2:
            return candidates
        ending = [plain(part) for part in wanted[-2::-1]]
        shared = {path: _shared(plain(dirname(path)).split("/")[::-1], ending) for path in candidates}
        most = max(shared.values())
        return self.related([path for path in candidates if shared[path] == most], annotation)

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

    def likeliest(self, candidates: list[str], annotation: str) -> list[str]:
        """Those of the candidates that an annotation file means, as far as its path tells, sorted.

        Those `related` to it; among several, those in the fewest folders, as copies of a dataset lie in one
        of its folders. Only for pictures of one name: one with another extension can be anything.
        """
        found = self.related(candidates, annotation)
        if len(found) < 2:
            return found
        fewest = min(path.count("/") for path in found)
        return [path for path in found if path.count("/") == fewest]

    def related(self, candidates: list[str], annotation: str) -> list[str]:
        """Those of the candidates that belong to the path of an annotation file most closely, sorted.

        The nearest ones; among several, those of the split that the file is for, and in folders that its path
        names: `xml/day1/a.xml` and `annotations/day1.json` mean `photos/day1/a.jpg`.
        """
        near = self.nearest(candidates, dirname(annotation))
        if len(near) < 2:
            return near
        split = split_of_name(annotation) or split_of_folders(annotation)
        own = set(map(_folder_name, dirname(annotation).split("/")))
        name = stem(annotation).casefold()
        ranks = {}
        for path in near:
            folders = {_folder_name(folder) for folder in dirname(path).split("/")}
            named = sum(folder in own or _is_named(folder, name) for folder in folders if folder)
            ranks[path] = (split is not None and split_of_folders(path) == split, named)
        best = max(ranks.values())
        return [path for path in near if ranks[path] == best]

    def _fits(self, file: SourceFile) -> bool:
        if file.size <= MAX_ANNOTATION_BYTES:
            return True
        self._log.add(
            "file.too-large",
            Place(file.path),
            f"The file has {file.size >> 20} MiB; annotations may have {MAX_ANNOTATION_BYTES >> 20} MiB.",
        )
        return False

    def _asked(self, path: str) -> SourceFile:
        self.is_repeatable = self.is_repeatable and extension(path) not in PICTURE_EXTENSIONS
        return self.file(path)

    def _gone(self, file: SourceFile, error: FileGoneError) -> None:
        self.is_repeatable = False
        self._log.add(error.code, Place(file.path), str(error))


def beside(path: str, name: str) -> str:
    """The path of a file in the same folder as another one."""
    return join(dirname(path), name)


def _described(file: SourceFile) -> tuple[SourceFile, str, str, bool]:
    # As `stem` and `extension`, both at once: every file passes here.
    name = file.path[file.path.rfind("/") + 1 :]
    before, dot, ending = name.rpartition(".")
    ending = ending.lower() if dot else ""
    return file, before or name, ending, ending in PICTURE_EXTENSIONS


def _plain_name(path: str) -> str:
    return plain(path[path.rfind("/") + 1 :])


def _parts_of(reference: str) -> list[str]:
    """The folders and the name in a reference; without the query where it is an address."""
    address = reference.partition("?")[0] if "://" in reference else reference
    return [part for part in address.split("/") if part not in ("", ".", "..")]


def _folder_name(folder: str) -> str:
    return folder.casefold().removesuffix(".zip")


def _is_named(folder: str, name: str) -> bool:
    """Whether a file's name holds that of a folder as a word: `instances_day1` holds `day1`."""
    return re.search(rf"(?<![^\W_]){re.escape(folder)}(?![^\W_])", name) is not None


def _shared(one: list[str], other: list[str]) -> int:
    """How many leading parts two paths share."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
