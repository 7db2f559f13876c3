"""Writing one split: the `.rec`, and the `.lst` and `.idx` beside it, in memory that does not grow."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from dataprep_job.inspection import Photo
from dataprep_job.labels import Split
from dataprep_job.recordio import detection_label, frame, index_line, list_line, pack_image
from dataprep_job.storage import Storage

MIRROR_LAG = 256
"""A mirrored copy is written this many photos after its original, so that no batch holds both."""


class _Sample(NamedTuple):
    record_id: int
    label: list[float]
    path: str
    encoded: bytes


class SplitPacker:
    """Packs one split into `channels/{split}/{split}.rec` and `lists/{split}.lst|.idx`.

    The photo that is packed as n-th (from 0) has record id 2n; its mirrored copy has 2n + 1.
    """

    def __init__(self, storage: Storage, split: Split) -> None:
        self._is_train = split == "train"
        self._records = storage.stream(f"channels/{split}/{split}.rec", "application/x-recordio")
        self._list = storage.stream(f"lists/{split}.lst", "text/plain; charset=utf-8")
        self._index = storage.stream(f"lists/{split}.idx", "text/plain; charset=utf-8")
        self._lagging: deque[_Sample] = deque()
        self._offset = 0
        self._photos = 0
        self.samples = 0

    @property
    def size(self) -> int:
        """Bytes of the `.rec` so far."""
        return self._offset

    def add(self, photo: Photo) -> None:
        """Pack a usable, encoded photo, and its mirrored copy where it has one."""
        objects = [(box.class_id, box.edges.relative(photo.width, photo.height)) for box in photo.boxes]
        path = photo.plan.labels.image
        record_id = 2 * self._photos
        self._photos += 1
        self._write(_Sample(record_id, detection_label(objects), path, photo.encoded))
        # A held-out picture that came back under a training name was encoded both ways.
        if photo.mirrored and self._is_train:
            mirrored = [(class_id, edges.mirrored()) for class_id, edges in objects]
            self._lagging.append(_Sample(record_id + 1, detection_label(mirrored), path, photo.mirrored))
            if len(self._lagging) > MIRROR_LAG:
                self._write(self._lagging.popleft())

    def commit(self) -> None:
        """Make the three files appear."""
        while self._lagging:
            self._write(self._lagging.popleft())
        for stream in (self._records, self._list, self._index):
            stream.commit()

    def abort(self) -> None:
        """Leave no trace of the three files."""
        for stream in (self._records, self._list, self._index):
            stream.abort()

    def _write(self, sample: _Sample) -> None:
        record = frame(pack_image(sample.record_id, sample.label, sample.encoded))
        self._index.write(index_line(sample.record_id, self._offset).encode())
        self._list.write(list_line(sample.record_id, sample.label, sample.path).encode())
        self._records.write(record)
        self._offset += len(record)
        self.samples += 1
