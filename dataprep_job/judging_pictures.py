"""The pictures that models are judged on, as single JPEG files: batch transform reads neither archives nor
old versions of objects, so it is given what was packed, byte for byte.

All runs of a dataset share them. A file is named after the content of the photo and what was done to it, so
a run writes only what no run before it held out; which ones are its own the run's manifest says.
"""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from dataprep_job.catalogue import Catalogue
from dataprep_job.configuration import Configuration
from dataprep_job.inspection import StoredImage
from dataprep_job.labels import Split
from dataprep_job.packing import Source, encoded_in
from dataprep_job.recalled import UsedPicture
from dataprep_job.s3_client import READ_THREADS
from dataprep_job.storage import Storage, Stream

MANIFEST = "judging.manifest"
_JPEG = "image/jpeg"
_WAITING = 4 * READ_THREADS
"""Pictures of some hundred kilobytes: a few ten megabytes at most."""


class JudgingPictures:
    """Writes `{content}-{resize}-q{quality}.jpg`, side by side, a bounded number at a time.

    Held-out pictures come in the packing order, those of the test split first. They are all that is wanted
    where there are any; otherwise the validation split judges.
    """

    def __init__(self, shared: Storage, configuration: Configuration, catalogue: Catalogue) -> None:
        """`shared`: the pictures of all runs of the dataset. `catalogue`: gets tables of what is there and of
        what this run judges on.
        """
        self._shared = shared
        self._treatment = f"{configuration.resize}-q{configuration.quality}"
        self._database = catalogue.database
        self._database.execute("CREATE TABLE judging_there (name TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("CREATE TABLE judging (number INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        # Listed, not trusted to be there: somebody may have deleted what an earlier run wrote.
        there = ((name,) for name in shared.names())
        self._database.executemany("INSERT INTO judging_there VALUES (?)", there)
        self._pool = ThreadPoolExecutor(READ_THREADS)
        self._waiting: deque[Future[None]] = deque()
        self._has_test = False

    def add(self, picture: UsedPicture, split: Split, source: Source | None) -> str | None:
        """See that one held-out picture is there; returns its name, None where its split does not judge.

        `source` is where its record lies if it was packed before.
        """
        self._has_test = self._has_test or split == "test"
        if self._has_test and split != "test":
            return None
        name = f"{picture.digest.hex()}-{self._treatment}.jpg"
        # Copies of one picture are one.
        is_new = self._database.execute("INSERT OR IGNORE INTO judging (name) VALUES (?)", (name,)).rowcount
        if is_new and not self._is_there(name):
            while len(self._waiting) >= _WAITING:
                self._waiting.popleft().result()
            self._waiting.append(self._pool.submit(self._write, name, picture, source))
        return name

    def _is_there(self, name: str) -> bool:
        found = self._database.execute("SELECT 1 FROM judging_there WHERE name = ?", (name,)).fetchone()
        return found is not None

    def finish(self, manifest: Stream) -> None:
        """Wait until all are written, and write which are this run's, as batch transform reads it.

        Raises OutputError where something could not be written.
        """
        while self._waiting:
            self._waiting.popleft().result()
        manifest.write(f"[{json.dumps({'prefix': self._shared.prefix})}".encode())
        for (name,) in self._database.execute("SELECT name FROM judging ORDER BY number"):
            manifest.write(f",\n{json.dumps(name)}".encode())
        manifest.write(b"]\n")
        manifest.commit()

    def close(self) -> None:
        """Give up what has not been written. Harmless after `finish`."""
        self._pool.shutdown(cancel_futures=True)

    def _write(self, name: str, picture: UsedPicture, source: Source | None) -> None:
        encoded = picture.encoded
        if isinstance(encoded, StoredImage):
            if source is None:
                raise ValueError(f"{picture.path} is said to be packed, but not where.")
            encoded = encoded_in(source, encoded.start, encoded.stop)
        self._shared.put(name, encoded, _JPEG)
