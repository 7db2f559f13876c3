"""`annotations.sqlite`: what was read from the annotations, so that the next preparation need not read again.

What readers find depends on the paths of all files and on the contents of those that are no pictures, and on
nothing else. Where these are the same, and so is this package's code, the records, the pictures to be planned
and the defects are taken over; splits and all that follows are decided anew.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from blake3 import blake3

from dataprep_job.catalogue import Catalogue
from dataprep_job.defects import Defect
from dataprep_job.errors import FileGoneError
from dataprep_job.file_source import FileSource, SourceFile

READING = "annotations.sqlite"
_PAGE = 1000
_PIECE = 1 << 20

_TABLES = """
CREATE TABLE kept.about (key TEXT, state TEXT);
CREATE TABLE kept.records AS SELECT * FROM main.records;
CREATE TABLE kept.names AS SELECT * FROM main.names;
CREATE TABLE kept.planned AS SELECT image, record, id, "group", share, named FROM main.plan;
"""


def reading_key(
    catalogue: Catalogue, refused: Iterable[Defect], contents: FileSource | None = None
) -> str | None:
    """A digest of everything that the result of reading depends on; None where a file has no tag.

    Args:
        catalogue: with the table `files`.
        refused: files that were left out, and why.
        contents: where the files are read, so that their contents decide and not their tags. None comes of
            files that are gone meanwhile.
    """
    digest = blake3(_code_digest())
    for defect in refused:
        digest.update(repr(defect).encode(errors="surrogatepass"))
    rows = catalogue.database.execute(
        "SELECT path, CASE WHEN is_picture THEN 0 ELSE size END, version, "
        "CASE WHEN is_picture THEN '/' ELSE tag END, is_picture FROM files ORDER BY path"
    )
    while page := rows.fetchmany(_PAGE):
        says = [tag for *_, tag, _ in page]
        if contents is not None:
            try:
                says = [
                    "/" if is_picture else _digest_of(contents, SourceFile(*file))
                    for *file, is_picture in page
                ]
            except FileGoneError:
                return None
        elif not all(says):
            return None
        listed = [(path, size, tag) for (path, size, *_), tag in zip(page, says, strict=True)]
        digest.update(repr(listed).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _digest_of(source: FileSource, file: SourceFile) -> str:
    digest = blake3(b"contents")
    with source.open(file) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


@cache
def _code_digest() -> bytes:
    """Rules change: another version of the code may read the same files in another way."""
    digest = blake3(sys.version.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def take_over(catalogue: Catalogue, path: Path, key: str) -> dict[str, Any] | None:
    """Fill the tables `records`, `names` and `plan` from a kept reading with this key.

    Returns:
        The state that was kept with it; None where it is another reading, or a damaged file.
    """
    database = catalogue.database
    database.execute("COMMIT")
    try:
        database.execute("ATTACH DATABASE ? AS kept", (f"file:{quote(str(path))}?mode=ro",))
    except sqlite3.Error:
        database.execute("BEGIN")
        return None
    state: dict[str, Any] | None = None
    try:
        row = database.execute("SELECT state FROM kept.about WHERE key = ?", (key,)).fetchone()
        if row is not None:
            found = json.loads(row[0])
            database.execute("INSERT INTO main.records SELECT * FROM kept.records")
            database.execute("INSERT INTO main.names SELECT * FROM kept.names")
            database.execute("INSERT INTO main.plan SELECT *, named FROM kept.planned")
            state = found
    except (sqlite3.Error, ValueError):
        for table in ("records", "names", "plan"):
            database.execute(f"DELETE FROM main.{table}")  # noqa: S608
    database.execute("DETACH DATABASE kept")
    database.execute("BEGIN")
    if state is not None:
        catalogue.load_names()
    return state


def keep(catalogue: Catalogue, path: Path, key: str, state: dict[str, Any]) -> None:
    """Write a reading to a file that does not exist yet."""
    database = catalogue.database
    database.execute("COMMIT")
    database.execute("ATTACH DATABASE ? AS kept", (str(path),))
    for pragma in ("journal_mode = OFF", "synchronous = OFF"):
        database.execute(f"PRAGMA kept.{pragma}")
    database.execute("BEGIN")
    for statement in filter(None, map(str.strip, _TABLES.split(";"))):
        database.execute(statement)
    database.execute("INSERT INTO kept.about VALUES (?, ?)", (key, json.dumps(state)))
    database.execute("COMMIT")
    database.execute("DETACH DATABASE kept")
    database.execute("BEGIN")
