"""`annotations.sqlite`: what was read from the annotations, so that the next preparation need not read again.

What readers find depends on the paths of all files and on the contents of those that are no pictures, and on
nothing else. Where these are the same, and so is this package's code, the records, the pictures to be planned
and the defects are taken over; splits and all that follows are decided anew.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Sequence
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
CREATE TABLE kept.keys (key TEXT);
CREATE TABLE kept.about (state TEXT);
CREATE TABLE kept.records AS SELECT * FROM main.records;
CREATE TABLE kept.names AS SELECT * FROM main.names;
CREATE TABLE kept.planned AS SELECT image, record, id, "group", share, named FROM main.plan;
"""


def reading_keys(
    catalogue: Catalogue, refused: Iterable[Defect], contents: FileSource | None = None
) -> list[str]:
    """Digests of everything that the result of reading depends on; the first is the one to go by.

    Where contents are compared, the digest of the tags comes second, for a later run that trusts tags.

    Args:
        catalogue: with the table `files`.
        refused: files that were left out, and why.
        contents: where the files are read, so that their contents decide and not their tags.

    Returns:
        Nothing where that cannot be said: files without a tag, or that are gone meanwhile.
    """
    about = blake3(_code_digest())
    for defect in refused:
        about.update(repr(defect).encode(errors="surrogatepass"))
    by_tags, all_tagged = about.copy(), True
    rows = catalogue.database.execute(
        "SELECT path, CASE WHEN is_picture THEN '/' ELSE tag END, CASE WHEN is_picture THEN 0 ELSE size END "
        "FROM files ORDER BY path"
    )
    while all_tagged and (page := rows.fetchmany(_PAGE)):
        all_tagged = all(tag for _, tag, _ in page)
        by_tags.update(repr(page).encode(errors="surrogatepass"))
    keys = [f"tags {by_tags.hexdigest()}"] if all_tagged else []
    if contents is None:
        return keys
    by_contents = about.copy()
    rows = catalogue.database.execute("SELECT is_picture, path, size, version, tag FROM files ORDER BY path")
    for is_picture, *file in rows:
        try:
            holds = "/" if is_picture else _digest_of(contents, SourceFile(*file))
        except FileGoneError:
            return []
        by_contents.update(repr((file[0], holds)).encode(errors="surrogatepass"))
    return [f"contents {by_contents.hexdigest()}", *keys]


def _digest_of(source: FileSource, file: SourceFile) -> str:
    digest = blake3()
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


def take_over(catalogue: Catalogue, path: Path, keys: Sequence[str]) -> tuple[dict[str, Any], bool] | None:
    """Fill the tables `records`, `names` and `plan` from a kept reading that has the first of these keys.

    Returns:
        The state that was kept with it, and whether all its keys are these; None where it is another reading,
        or a damaged file.
    """
    database = catalogue.database
    database.execute("COMMIT")
    try:
        database.execute("ATTACH DATABASE ? AS kept", (f"file:{quote(str(path))}?mode=ro",))
    except sqlite3.Error:
        database.execute("BEGIN")
        return None
    found: tuple[dict[str, Any], bool] | None = None
    try:
        kept_keys = [key for (key,) in database.execute("SELECT key FROM kept.keys ORDER BY rowid")]
        if keys[0] in kept_keys:
            state = json.loads(database.execute("SELECT state FROM kept.about").fetchone()[0])
            database.execute("INSERT INTO main.records SELECT * FROM kept.records")
            database.execute("INSERT INTO main.names SELECT * FROM kept.names")
            database.execute("INSERT INTO main.plan SELECT *, named FROM kept.planned")
            found = state, kept_keys == list(keys)
    except (sqlite3.Error, ValueError, TypeError):
        for table in ("records", "names", "plan"):
            database.execute(f"DELETE FROM main.{table}")  # noqa: S608
    database.execute("DETACH DATABASE kept")
    database.execute("BEGIN")
    if found is not None:
        catalogue.load_names()
    return found


def keep(catalogue: Catalogue, path: Path, keys: Iterable[str], state: dict[str, Any]) -> None:
    """Write a reading to a file that does not exist yet."""
    database = catalogue.database
    database.execute("COMMIT")
    database.execute("ATTACH DATABASE ? AS kept", (str(path),))
    for pragma in ("journal_mode = OFF", "synchronous = OFF"):
        database.execute(f"PRAGMA kept.{pragma}")
    database.execute("BEGIN")
    for statement in filter(None, map(str.strip, _TABLES.split(";"))):
        database.execute(statement)
    database.executemany("INSERT INTO kept.keys VALUES (?)", [(key,) for key in keys])
    database.execute("INSERT INTO kept.about VALUES (?)", (json.dumps(state),))
    database.execute("COMMIT")
    database.execute("DETACH DATABASE kept")
    database.execute("BEGIN")
