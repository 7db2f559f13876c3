"""What the zip archives of a dataset hold, outside memory; and which of it may be used.

Whoever made an archive is a stranger: nothing in it is believed that could fill memory, take days, or lead
out of the dataset.
"""

from __future__ import annotations

import re
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import cast

from dataprep_job.defects import Bundle, Defect, Place
from dataprep_job.errors import FileGoneError
from dataprep_job.file_source import RangedSource, SourceFile, is_hidden, why_unsafe
from dataprep_job.zip_directory import (
    DEFLATED,
    LOCAL_HEADER_BYTES,
    STORED,
    Directory,
    Member,
    ZipError,
    find_directory,
    members,
)
from dataprep_job.zip_member import PackedMember

MAX_MEMBERS = 5_000_000
"""Files in all archives of a dataset: a photo and its annotation for more photos than one job prepares."""

MAX_DIRECTORY_BYTES = 1 << 30
"""Lists of contents of all archives: 200 bytes for each of the most files. They are kept on disk."""

MAX_RATIO = 200
"""How many times its packed size an archive may unpack to. Photos gain nothing, annotations 5 to 30 times."""

HARMLESS_BYTES = 1 << 30
"""Below this no ratio matters: blank pictures and repetitive text shrink a thousandfold."""

MAX_PATH_BYTES = 1024
"""Longest name of a member: S3 allows no longer ones for files that are uploaded as they are."""

_MOST_DEFLATE_SAVES = 1032
"""Two bits for 258 bytes: https://zlib.net/zlib_tech.html."""

_PAGE = 1000
_NAME_SHOWN = 120
_OTHER_ARCHIVES = (
    *(".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz", ".zst", ".lz", ".lzma", ".lz4"),
    *(".7z", ".rar", ".zipx", ".cab", ".arj", ".ace"),
)
_PART = re.compile(r"\.z\d\d$|\.zip\.\d{3}$", re.IGNORECASE)

_SCHEMA = """
CREATE TABLE archives (id INTEGER PRIMARY KEY, path TEXT, size INTEGER, version TEXT, tag TEXT);
CREATE TABLE members (
    path TEXT PRIMARY KEY, archive INTEGER, offset INTEGER, lead INTEGER, compressed INTEGER,
    size INTEGER, method INTEGER, crc INTEGER
) WITHOUT ROWID;
CREATE TABLE extents (start INTEGER, stop INTEGER);
"""


def is_zip(path: str) -> bool:
    """Whether a file is a zip archive, by its name."""
    return path[-4:].lower() == ".zip"


def is_other_archive(path: str) -> bool:
    """Whether a file is an archive that is not opened, by its name; parts of zip archives are such."""
    return path.lower().endswith(_OTHER_ARCHIVES) or _PART.search(path) is not None


class ArchiveContents:
    """The members of all archives, in a private SQLite database. Safe in threads once it is filled."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("cache_size = -8192", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")
        self._members = 0
        self._directory_bytes = 0
        self._packed_bytes = 0
        self._unpacked_bytes = 0

    def add(self, file: SourceFile, source: RangedSource) -> list[Defect]:
        """Take in one archive; what is wrong with it comes back. Raises SourceError."""

        def read(start: int, size: int) -> bytes:
            return source.read_range(file, start, size)

        place = Place(file.path)
        try:
            directory = find_directory(read, file.size)
        except (ZipError, FileGoneError) as error:
            return [Defect(error.code, place, str(error))]
        self._directory_bytes += directory.size
        if self._directory_bytes > MAX_DIRECTORY_BYTES:
            limit = f"lists of contents of zip archives may have {MAX_DIRECTORY_BYTES >> 20} MiB in all"
            return [Defect("archive.too-large", place, f"The archive is not opened: {limit}.")]
        return self._take_in(file, directory, members(read, directory))

    def drop_taken(self, files: Iterable[SourceFile]) -> list[Defect]:
        """Leave out members whose path is also that of a file beside the archives."""
        bundle = Bundle("archive.path-taken", "A file of this path lies beside the archive: {subject}.")
        for file in files:
            if ".zip/" in file.path.lower():
                dropped = self._database.execute("DELETE FROM members WHERE path = ?", (file.path,)).rowcount
                if dropped:
                    bundle.add(Place(file.path), file.path[-_NAME_SHOWN:])
        return bundle.defects()

    def files(self) -> Iterator[SourceFile]:
        """Every member as a file, sorted by path."""
        query = (
            "SELECT members.path, members.size, archives.version, members.crc "
            "FROM members JOIN archives ON archives.id = members.archive "
            "WHERE members.path > ? ORDER BY members.path LIMIT ?"
        )
        last = ""
        while True:
            with self._lock:
                rows = self._database.execute(query, (last, _PAGE)).fetchall()
            for path, size, version, crc in rows:
                yield SourceFile(path, size, version, f"{crc:08x}-{size}")
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def find(self, path: str) -> PackedMember | None:
        """Where a member lies; None for paths of other files."""
        if ".zip/" not in path.lower():
            return None
        query = (
            "SELECT offset, lead, compressed, members.size, method, crc, "
            "archives.path, archives.size, version, tag "
            "FROM members JOIN archives ON archives.id = members.archive WHERE members.path = ?"
        )
        with self._lock:
            row = self._database.execute(query, (path,)).fetchone()
        return None if row is None else PackedMember._make((path, *row[:6], SourceFile(*row[6:])))

    def _take_in(self, file: SourceFile, directory: Directory, found: Iterator[Member]) -> list[Defect]:
        values = (file.path, file.size, file.version, file.tag)
        archive = self._database.execute("INSERT INTO archives VALUES (NULL, ?, ?, ?, ?)", values).lastrowid
        intake = _Intake(self._database, file.path, cast(int, archive))
        defects: list[Defect] = []
        try:
            for member in found:
                intake.add(member)
                if self._members + intake.count > MAX_MEMBERS:
                    break
        except (ZipError, FileGoneError) as error:
            defects.append(Defect(error.code, Place(file.path), str(error)))
        refusal = self._why_refused(file, intake, directory)
        if refusal is not None:
            intake.undo()
            return [refusal]
        self._members += intake.count
        self._packed_bytes += file.size
        self._unpacked_bytes += intake.unpacked
        if not intake.seen and not defects:
            defects.append(Defect("archive.empty", Place(file.path), "There are no files in the archive."))
        return defects + intake.defects()

    def _why_refused(self, file: SourceFile, intake: _Intake, directory: Directory) -> Defect | None:
        """What is wrong with an archive as a whole."""
        place = Place(file.path)
        if self._members + intake.count > MAX_MEMBERS:
            limit = f"zip archives may hold {MAX_MEMBERS:,} files in all"
            return Defect("archive.too-large", place, f"The archive is not opened: {limit}.")
        packed, unpacked = self._packed_bytes + file.size, self._unpacked_bytes + intake.unpacked
        if unpacked > HARMLESS_BYTES and unpacked > MAX_RATIO * packed:
            swells = f"{unpacked >> 20:,} MiB would come out of {packed >> 10:,} KiB"
            return Defect("archive.bomb", place, f"The archive is not opened: {swells}.")
        if intake.overlaps(directory.start):
            message = "The archive is not opened: files in it lie on top of one another."
            return Defect("archive.bomb", place, message)
        return None


class _Intake:
    """The members of one archive: those that may be used go into the table, the others become defects."""

    def __init__(self, database: sqlite3.Connection, path: str, archive: int) -> None:
        self._database = database
        self._path = path
        self._archive = archive
        self._bundles: dict[str, Bundle] = {}
        self.seen = 0
        self.count = 0
        self.unpacked = 0
        database.execute("DELETE FROM extents")

    def add(self, member: Member) -> None:
        """Take one member in, or note why not."""
        name = _normal(member.name)
        if not name or name.endswith("/"):
            return
        self.seen += 1
        if is_hidden(name) and ".." not in name.split("/"):
            return
        refusal = _why_left_out(name, member)
        if refusal is not None:
            self._note(*refusal, name)
            return
        self.count += 1
        self.unpacked += member.size
        extent = (member.offset, member.offset + LOCAL_HEADER_BYTES + member.compressed)
        self._database.execute("INSERT INTO extents VALUES (?, ?)", extent)
        row = (
            *(f"{self._path}/{name}", self._archive, member.offset, member.lead, member.compressed),
            *(member.size, member.method, member.crc),
        )
        try:
            self._database.execute("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            self._note(
                "archive.duplicate-member", "The archive holds two files of this name: {subject}.", name
            )
            self._database.execute("REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def overlaps(self, end: int) -> bool:
        """Whether members share bytes, as only bombs do: the same bytes would be unpacked again and again."""
        last = 0
        for start, stop in self._database.execute("SELECT start, stop FROM extents ORDER BY start, stop"):
            if start < last:
                return True
            last = stop
        return last > end

    def undo(self) -> None:
        """Take the members out again."""
        self._database.execute("DELETE FROM members WHERE archive = ?", (self._archive,))

    def defects(self) -> list[Defect]:
        """What was left out, all files of one kind together."""
        return [defect for bundle in self._bundles.values() for defect in bundle.defects()]

    def _note(self, code: str, what: str, name: str) -> None:
        shown = name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}…"
        bundle = self._bundles.setdefault(what, Bundle(code, what))
        bundle.add(Place(self._path), repr(shown))


def _normal(name: str) -> str:
    """A member's name with '/' whatever the system it comes from, and without parts that mean nothing."""
    name = name.replace("\\", "/")
    if "//" not in name and "./" not in name:
        return name
    first, *others = name.split("/")
    kept = [part for part in others[:-1] if part not in ("", ".")]
    return "/".join([*([] if first == "." else [first]), *kept, *others[-1:]])


def _why_left_out(name: str, member: Member) -> tuple[str, str] | None:
    """The code and message of why a member is not used, None where it is."""
    unsafe = _why_unsafe(name, member)
    if unsafe is not None:
        return "path.outside", f"Not used, as {unsafe}: {{subject}}."
    if member.is_elsewhere:
        return "archive.spanned", "It lies in another part of the archive: {subject}."
    if member.is_encrypted:
        return "archive.encrypted", "It needs a password: {subject}."
    if member.method not in (STORED, DEFLATED):
        return "archive.unsupported-method", "It is packed in another way than deflate: {subject}."
    if member.is_damaged:
        return "archive.member-damaged", "It does not lie in the archive: {subject}."
    most = member.compressed if member.method == STORED else _MOST_DEFLATE_SAVES * (member.compressed + 1)
    if member.size > most:
        return "archive.member-damaged", "It cannot hold as much as the archive says: {subject}."
    if is_zip(name) or is_other_archive(name):
        return "archive.nested", "It is an archive in an archive and is not opened: {subject}."
    return None


def _why_unsafe(name: str, member: Member) -> str | None:
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "the name holds a control character"
    if re.match("[A-Za-z]:", name):
        return "the name begins with a drive letter"
    if len(name.encode()) > MAX_PATH_BYTES:
        return f"the name has more than {MAX_PATH_BYTES:,} bytes"
    if stat.S_IFMT(member.mode) not in (0, stat.S_IFREG):
        return "it is a link or a device"
    return why_unsafe(name)
