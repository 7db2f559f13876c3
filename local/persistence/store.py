"""One SQLite file of rows: kind, key, pickled value."""

from __future__ import annotations

import ast
import pickle
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local.errors import ServerError

Key = tuple[Any, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (kind, key)
)
"""
_PUT = (
    "INSERT INTO rows (kind, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"
)


class Store:
    """Rows that outlive the process: what `put` has returned from is there after a SIGKILL.

    The write-ahead log is synced at checkpoints only. A commit has been handed to the kernel, which the end
    of this process cannot undo; after a power failure the last commits may be missing, but the file is whole.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._open = True
        file.touch(mode=0o600)
        try:
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def put(self, kind: str, rows: Mapping[Key, Any]) -> None:
        """Writes rows of one kind in one transaction; the value None removes a row."""
        self.put_all([(kind, key, value) for key, value in rows.items()])

    def put_all(self, rows: Iterable[tuple[str, Key, Any]]) -> None:
        """Writes (kind, key, value) rows in one transaction; None removes one. Nothing once it is closed."""
        written, removed = [], []
        for kind, key, value in rows:
            if value is None:
                removed.append((kind, repr(key)))
            else:
                written.append((kind, repr(key), pickle.dumps(value)))
        with self._lock:
            if not self._open:
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("DELETE FROM rows WHERE kind = ? AND key = ?", removed)
                self._database.executemany(_PUT, written)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def read(self, kind: str) -> list[tuple[Key, Any]]:
        """The rows of a kind, in the order they were first written. Raises ServerError for a damaged file."""
        try:
            with self._lock:
                found = self._database.execute(
                    "SELECT key, value FROM rows WHERE kind = ? ORDER BY number", (kind,)
                ).fetchall()
            # Written by this class into a file that only its owner can write.
            return [(ast.literal_eval(key), pickle.loads(value)) for key, value in found]  # noqa: S301
        except (sqlite3.DatabaseError, pickle.UnpicklingError, AttributeError, ImportError) as error:
            raise self._damaged(error) from error

    def drop(self, kind: str) -> None:
        """Removes every row of a kind."""
        with self._lock:
            if self._open:
                self._database.execute("DELETE FROM rows WHERE kind = ?", (kind,))

    def close(self) -> None:
        """Keeps the rows as they are: later writes have no effect."""
        with self._lock:
            self._open = False
            self._database.close()

    def _damaged(self, error: Exception) -> ServerError:
        return ServerError(
            f"cannot read what the last server kept in {self._file} ({error}): "
            "start afresh with `python -m local up --fresh` (`make local FRESH=1`)"
        )
