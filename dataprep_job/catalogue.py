"""The card index of one preparation: files, records and plan, in a private SQLite database.

It lies in a temporary file that SQLite itself keeps and removes, so memory does not grow with the dataset;
pictures never pass through it. One thread uses it.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from dataprep_job.defects import Place
from dataprep_job.file_source import SourceFile
from dataprep_job.labels import Box, Edges, LabelledImage

_CACHE_KIB = 2 << 10
_BATCH = 1000

_SCHEMA = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, size INTEGER, version TEXT, tag TEXT,
    stem TEXT, extension TEXT, is_picture INTEGER, is_claimed INTEGER DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT UNIQUE, class TEXT);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY, image TEXT, format TEXT, split TEXT, width INTEGER, height INTEGER,
    is_relative INTEGER, file TEXT, "where" TEXT, box_file TEXT, names BLOB, edges BLOB, wheres TEXT
);
CREATE INDEX records_by_image ON records (image);
CREATE TABLE lost (image TEXT);
CREATE INDEX lost_by_image ON lost (image);
"""


class Catalogue:
    """Tables of one dataset. Other modules keep their own tables in it through `database`."""

    def __init__(self, path: Path | None = None) -> None:
        """A new catalogue in a temporary file, or (`path`) one that `save` wrote."""
        # As an address, so that other databases can be attached for reading only.
        address = f"file:{quote(str(path))}" if path is not None else ""
        self.database = sqlite3.connect(address, isolation_level=None, uri=True)
        self.database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.create_function("folder_of", 1, _folder_of, deterministic=True)
        self.known_schemas: list[str] = []
        """Indexes of packed pictures that say what the plan knows; the last one counts."""
        self.has_previous_index = False
        """Whether `previous.packed` can be read, be its payloads of use or not."""
        self._waiting: list[tuple[Any, ...]] = []
        self._name_ids: dict[str, int] = {}
        self._names: list[str] = []
        self._classes: list[str | None] = []
        if path is None:
            self.database.executescript(_SCHEMA)
        else:
            self.load_names()
        self.database.execute("BEGIN")

    def load_names(self) -> None:
        """Take up the names that the table `names` holds."""
        for name, used in self.database.execute("SELECT name, class FROM names ORDER BY id"):
            self._name_ids[name] = len(self._names)
            self._names.append(name)
            self._classes.append(used)

    def attach_index(self, path: Path, schema: Literal["previous", "slices"], *, known: bool) -> None:
        """Make an index of packed pictures readable. `known`: its payloads can be taken over."""
        self.database.execute("COMMIT")
        self.database.execute(f"ATTACH DATABASE ? AS {schema}", (str(path),))
        self.database.execute("BEGIN")
        self.has_previous_index = self.has_previous_index or schema == "previous"
        if known:
            self.known_schemas.append(schema)

    def save(self, path: Path) -> None:
        """Write the catalogue to a file that another process can open."""
        self.database.execute("COMMIT")
        self.database.execute("VACUUM INTO ?", (str(path),))
        self.database.execute("BEGIN")

    def add_record(self, record: LabelledImage) -> None:
        """Keep one record of one picture. It is in the table `records` after `flush`."""
        boxes = record.boxes
        box_file = boxes[0].place.file if boxes else None
        edges = array("d")
        for box in boxes:
            if box.place.file != box_file:
                raise ValueError(f"The boxes of {record.image} come from two files.")
            edges.extend(box.edges)
        width, height = record.declared_size or (None, None)
        self._waiting.append(
            (
                record.image,
                record.format,
                record.split,
                width,
                height,
                record.is_relative,
                *record.place,
                box_file,
                array("i", [self._name_id(box.name) for box in boxes]).tobytes(),
                edges.tobytes(),
                "\n".join([(box.place.where or "").replace("\n", " ") for box in boxes]),
            )
        )
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the records that wait."""
        if self._waiting:
            self.database.executemany(
                "INSERT INTO records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._waiting
            )
            self._waiting.clear()

    def lose(self, image: str | None) -> None:
        """Note an annotated picture that cannot be used."""
        self.database.execute("INSERT INTO lost VALUES (?)", (image,))

    def use_classes(self, classes: Sequence[str | None]) -> None:
        """Say which class every name as annotated stands for, by its id; None: its boxes are left out."""
        self._classes = list(classes)
        self.database.executemany(
            "UPDATE names SET class = ? WHERE id = ?", [(name, key) for key, name in enumerate(classes)]
        )

    def record(self, row: Sequence[Any], *, as_annotated: bool = False) -> LabelledImage:
        """The record in one row of `SELECT RECORD_COLUMNS …`.

        Its boxes have the classes that `use_classes` said, and those without one are left out; or
        (`as_annotated`) all of them, with the names that the annotation gives.
        """
        image, form, split, width, height, relative, file, where, box_file, ids, edges, wheres = row
        names = self._names if as_annotated else self._classes
        numbers = array("d", edges)
        boxes = []
        for at, (name_id, spot) in enumerate(zip(array("i", ids), wheres.split("\n"), strict=False)):
            name = names[name_id]
            if name is not None:
                corners = Edges(*numbers[4 * at : 4 * at + 4])
                boxes.append(Box(name, corners, Place(box_file, spot or None)))
        return LabelledImage(
            image,
            tuple(boxes),
            (width, height) if width is not None else None,
            split,
            Place(file, where),
            form,
            bool(relative),
        )

    @property
    def names(self) -> list[str]:
        """Every class name as annotated, by its id in `records.names`."""
        return self._names

    @property
    def classes(self) -> list[str | None]:
        """The class that every name as annotated stands for, by its id; None: its boxes are left out."""
        return self._classes

    def one(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """The first column of the first row; None where there is no row."""
        row = self.database.execute(query, values).fetchone()
        return None if row is None else row[0]

    def file(self, path: str) -> SourceFile | None:
        """The entry of a file; None where the dataset has none at this path."""
        query = "SELECT path, size, version, tag FROM files WHERE path = ?"
        row = self.database.execute(query, (path,)).fetchone()
        return None if row is None else SourceFile(*row)

    def _name_id(self, name: str) -> int:
        known = self._name_ids.get(name)
        if known is None:
            known = self._name_ids[name] = len(self._names)
            self._names.append(name)
            self.database.execute("INSERT INTO names VALUES (?, ?, NULL)", (known, name))
        return known


def _folder_of(path: str) -> str:
    return path[: path.rfind("/") + 1]


RECORD_WIDTH = 12
"""How many columns the next name lists."""
RECORD_COLUMNS = (
    "records.image, records.format, records.split, records.width, records.height, "
    "records.is_relative, records.file, "
    'records."where", records.box_file, records.names, records.edges, records.wheres'
)


def insert_files(catalogue: Catalogue, rows: Iterable[tuple[SourceFile, str, str, bool]]) -> None:
    """Add files with their stem, extension, and whether they are pictures."""
    catalogue.database.executemany(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
        (
            (file.path, file.size, file.version, file.tag, stem, extension, is_picture)
            for file, stem, extension, is_picture in rows
        ),
    )


def index_files(catalogue: Catalogue) -> None:
    """Prepare the table `files` for readers, who look for stems and extensions."""
    catalogue.database.execute("CREATE INDEX files_by_stem ON files (stem, extension, is_picture)")
    catalogue.database.execute(
        "CREATE INDEX files_by_extension ON files (extension, path) WHERE NOT is_picture"
    )


class Groups:
    """Rows gathered under keys in any order, then read back by key or in the order in which they came."""

    _count = 0

    def __init__(self, catalogue: Catalogue, columns: int) -> None:
        """`columns`: how many values a row has; texts, numbers or None."""
        Groups._count += 1
        self._table = f"groups_{Groups._count}"
        self._database = catalogue.database
        self._waiting: list[tuple[Any, ...]] = []
        self._marks = ", ".join("?" * (columns + 1))
        names = ", ".join(f"c{number}" for number in range(columns))
        self._database.execute(f"CREATE TABLE {self._table} (key, {names})")
        self._columns = names

    def add(self, key: str | int, *values: Any) -> None:
        """Keep one row under a key; the key 1 and the key "1" are two keys, and NaN comes back as None."""
        self._waiting.append((key, *values))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def __iter__(self) -> Iterator[tuple[Any, list[tuple[Any, ...]]]]:
        """Every key with its rows; keys are sorted, rows are in the order in which they were added."""
        self._flush()
        rows = self._database.execute(
            f"SELECT key, {self._columns} FROM {self._table} ORDER BY key, rowid"  # noqa: S608
        )
        for key, group in groupby(rows, key=itemgetter(0)):
            yield key, [row[1:] for row in group]

    def in_order(self) -> Iterator[tuple[Any, ...]]:
        """Every row with its key in front, in the order in which they were added."""
        self._flush()
        query = f"SELECT key, {self._columns} FROM {self._table} ORDER BY rowid"  # noqa: S608
        yield from self._database.execute(query)

    def get(self, key: str | int) -> list[tuple[Any, ...]]:
        """The rows of one key. Fast after `index`."""
        self._flush()
        rows = self._database.execute(
            f"SELECT {self._columns} FROM {self._table} WHERE key = ? ORDER BY rowid",  # noqa: S608
            (key,),
        )
        return rows.fetchall()

    def has_repeats(self, column: int) -> bool:
        """Whether two rows have the same value in a column (from 0, without the key)."""
        self._flush()
        query = f"SELECT 1 FROM {self._table} GROUP BY c{column} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
        return self._database.execute(query).fetchone() is not None

    def index(self) -> None:
        """Prepare for many calls of `get`."""
        self._flush()
        self._database.execute(f"CREATE INDEX {self._table}_by_key ON {self._table} (key)")

    def drop(self) -> None:
        """Give the space back."""
        self._database.execute(f"DROP TABLE {self._table}")

    def _flush(self) -> None:
        if self._waiting:
            self._database.executemany(
                f"INSERT INTO {self._table} VALUES ({self._marks})",  # noqa: S608
                self._waiting,
            )
            self._waiting.clear()


def aligned(*tables: Groups) -> Iterator[tuple[Any, list[list[tuple[Any, ...]]]]]:
    """Every key that any of the tables has, in order (numbers before texts), with its rows in each."""
    sources = [iter(table) for table in tables]
    heads = [next(source, None) for source in sources]
    while any(head is not None for head in heads):
        key = min((head[0] for head in heads if head is not None), key=_in_order)
        found: list[list[tuple[Any, ...]]] = []
        for number, head in enumerate(heads):
            if head is not None and head[0] == key:
                found.append(head[1])
                heads[number] = next(sources[number], None)
            else:
                found.append([])
        yield key, found


def _in_order(key: str | int) -> tuple[bool, str | int]:
    return isinstance(key, str), key
