"""The pictures that models are judged on, as single JPEG files: batch transform reads neither archives nor
old versions of objects, so it is given what was packed, byte for byte.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from dataprep_job.inspection import StoredImage
from dataprep_job.labels import Split
from dataprep_job.packing import Source, encoded_in
from dataprep_job.recalled import UsedPicture
from dataprep_job.s3_client import READ_THREADS
from dataprep_job.storage import Storage

_JPEG = "image/jpeg"
_WAITING = 4 * READ_THREADS
"""Pictures of some hundred kilobytes: a few ten megabytes at most."""


class JudgingPictures:
    """Writes `judging/{split}/{record id}.jpg`, side by side, a bounded number at a time.

    Held-out pictures come in the packing order, those of the test split first. They are all that is wanted
    where there are any; otherwise the validation split judges.
    """

    def __init__(self, output: Storage, previous: Storage | None) -> None:
        """`previous`: the previous preparation, whose pictures are copied as they are where it has them."""
        self._output = output
        self._previous = previous
        self._pool = ThreadPoolExecutor(READ_THREADS)
        self._waiting: deque[Future[None]] = deque()
        self._has_test = False

    def add(self, picture: UsedPicture, split: Split, source: Source | None) -> str | None:
        """Write one held-out picture; returns its name, None where its split does not judge.

        `source` is where its record lies if it was packed before.
        """
        self._has_test = self._has_test or split == "test"
        if self._has_test and split != "test":
            return None
        name = f"judging/{split}/{picture.record_id:016x}.jpg"
        while len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._write, name, picture, source))
        return name

    def finish(self) -> None:
        """Wait until all are written; raises OutputError where one could not be."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Give up what has not been written. Harmless after `finish`."""
        self._pool.shutdown(cancel_futures=True)

    def _write(self, name: str, picture: UsedPicture, source: Source | None) -> None:
        encoded = picture.encoded
        if isinstance(encoded, StoredImage):
            if source is None:
                raise ValueError(f"{picture.path} is said to be packed, but not where.")
            if source.storage is self._previous:
                if self._output.put_copy(name, self._previous, name, _JPEG):
                    return
                # It may have judged on none.
                self._previous = None
            encoded = encoded_in(source, encoded.start, encoded.stop)
        self._output.put(name, encoded, _JPEG)
