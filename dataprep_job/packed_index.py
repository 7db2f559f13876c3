"""`index.sqlite`: what a preparation packed and where it lies, so that the next one need not do it again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

INDEX = "index.sqlite"
_VERSION = 1
_BATCH = 4000

_SCHEMA = """
CREATE TABLE packed (
    image TEXT PRIMARY KEY, tag TEXT, size INTEGER, digest BLOB,
    format TEXT, width INTEGER, height INTEGER, orientation INTEGER,
    split TEXT, label BLOB,
    start INTEGER, stop INTEGER, jpeg_bytes INTEGER,
    mirrored_start INTEGER, mirrored_stop INTEGER, mirrored_jpeg_bytes INTEGER
) WITHOUT ROWID;
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT);
"""


class PackedImage(NamedTuple):
    """One packed picture.

    Attributes:
        image: path in the dataset.
        tag: of its file when it was read, see `SourceFile`.
        size: of its file, in bytes.
        digest: BLAKE3 of its file.
        format: of its file, see `ImageHeader`; so are width, height and orientation.
        split: that it was packed in.
        label: as in its record, float32, little-endian.
        start: first byte of its record in the split's `.rec`.
        stop: first byte behind it.
        jpeg_bytes: length of the encoded picture in it.
        mirrored_start: the same for its mirrored copy; None where it has none.
        mirrored_stop: the same for its mirrored copy.
        mirrored_jpeg_bytes: the same for its mirrored copy.
    """

    image: str
    tag: str
    size: int
    digest: bytes
    format: str
    width: int
    height: int
    orientation: int
    split: str
    label: bytes
    start: int
    stop: int
    jpeg_bytes: int
    mirrored_start: int | None = None
    mirrored_stop: int | None = None
    mirrored_jpeg_bytes: int | None = None


PACKED_COLUMNS = ", ".join(f"packed.{field}" for field in PackedImage._fields)


class PackedIndex:
    """Writes an index, picture by picture, to a file that does not exist yet."""

    def __init__(self, path: Path, treatment: dict[str, Any]) -> None:
        """`treatment`: what decides how payloads look; another one makes them worthless."""
        self._database = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "PRAGMA cache_size = -512",
        ):
            self._database.execute(statement)
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")
        about = {"version": _VERSION, "treatment": treatment}
        self._database.executemany(
            "INSERT INTO about VALUES (?, ?)", [(key, json.dumps(value)) for key, value in about.items()]
        )
        self._marks = ", ".join("?" * len(PackedImage._fields))
        self._waiting: list[PackedImage] = []

    def add(self, packed: Iterable[PackedImage]) -> None:
        """Note packed pictures."""
        self._waiting.extend(packed)
        if len(self._waiting) >= _BATCH:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._database.execute("COMMIT")
        self._database.close()

    def _flush(self) -> None:
        # Neighbours lie on the same pages of the table.
        self._waiting.sort(key=itemgetter(0))
        self._database.executemany(f"INSERT OR REPLACE INTO packed VALUES ({self._marks})", self._waiting)  # noqa: S608
        self._waiting.clear()


def read_treatment(path: Path) -> dict[str, Any] | None:
    """The treatment that made the payloads of an index; None where the file is no index, or a damaged one."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT key, value FROM about").fetchall()
            database.execute(f"SELECT {PACKED_COLUMNS} FROM packed LIMIT 1").fetchone()  # noqa: S608
            about = {key: json.loads(value) for key, value in rows}
    except (sqlite3.Error, ValueError):
        return None
    treatment = about.get("treatment")
    return treatment if about.get("version") == _VERSION and isinstance(treatment, dict) else None
