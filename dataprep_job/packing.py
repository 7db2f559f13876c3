"""Writing one split: the `.rec`, and the `.lst` and `.idx` beside it, in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dataprep_job.inspection import Encoded, Photo, StoredImage
from dataprep_job.labels import Split
from dataprep_job.packed_index import PackedImage
from dataprep_job.recordio import (
    frame,
    image_header,
    index_line,
    list_line,
    mirrored_label,
    records,
    unbroken_frame,
    unpack_image,
)
from dataprep_job.storage import Storage

BLOCK = 128
"""At most so many photos are packed before their mirrored copies follow, so that no batch holds both."""
ID_BITS = 63
_LONGEST_COPY = 64 << 20
"""Longer stretches are handed over in pieces, so that they are copied while the next are found.

As parts of an S3 upload, of which there are 10,000 at most, these make 640 GB.
"""


def records_name(split: str) -> str:
    """The name of a split's `.rec` below the output of a preparation."""
    return f"channels/{split}/{split}.rec"


def block_bits(planned: int) -> int:
    """How many leading bits of a record id say which block of the packing order it belongs to.

    The count of pictures decides, not who packs them: slices and whole jobs give the same bytes.
    """
    return max(0, math.ceil(math.log2(max(planned, 1) / BLOCK)))


class Source(NamedTuple):
    """Where the records that photos refer to lie."""

    storage: Storage
    name: str


class _Sample(NamedTuple):
    record_id: int
    label: bytes
    path: str
    encoded: Encoded
    source: Source | None


class _Written(NamedTuple):
    start: int
    stop: int
    jpeg_bytes: int


class SplitPacker:
    """Packs one split into `channels/{split}/{split}.rec` and `lists/{split}.lst|.idx`.

    A photo has the record id that its path gives it, an even number; its mirrored copy has the next one.
    Photos come in the order of their ids. They are packed in blocks, each followed by its mirrored copies.
    """

    def __init__(
        self, storage: Storage, split: Split, bits: int, note: Callable[[PackedImage], None] | None = None
    ) -> None:
        """
        Args:
            storage: where the files go.
            split: that is packed.
            bits: how many leading bits of an id tell the block, see `block_bits`.
            note: is told where every photo lies.
        """
        self._is_train = split == "train"
        self._split = split
        self._shift = ID_BITS - bits
        self._note = note
        self._records = storage.stream(records_name(split), "application/x-recordio")
        self._list = storage.stream(f"lists/{split}.lst", "text/plain; charset=utf-8")
        self._index = storage.stream(f"lists/{split}.idx", "text/plain; charset=utf-8")
        self._block = -1
        self._mirrored: list[tuple[_Sample, PackedImage]] = []
        self._lines: list[tuple[str, str]] = []
        self._offset = 0
        self._copying: tuple[Source, int, int] | None = None
        self.samples = 0

    def add(self, photo: Photo, source: Source | None = None) -> None:
        """Pack a usable, encoded photo, and its mirrored copy where it has one.

        `source` is where the record lies if the photo was packed before.
        """
        plan = photo.plan
        block = plan.record_id >> self._shift
        if block != self._block:
            self._end_block()
            self._block = block
        label = photo.label
        path = plan.labels.image
        written = self._write(_Sample(plan.record_id, label, path, photo.encoded, source))
        header = photo.header
        if header is None:
            raise ValueError(f"{path} was never opened.")
        packed = PackedImage(
            path,
            plan.file.tag,
            plan.file.size,
            photo.digest,
            header.format,
            header.width,
            header.height,
            header.orientation,
            self._split,
            label,
            *written,
        )
        # A held-out picture that came back under a training name was encoded both ways.
        if photo.mirrored and self._is_train:
            sample = _Sample(plan.record_id + 1, mirrored_label(label), path, photo.mirrored, source)
            self._mirrored.append((sample, packed))
        elif self._note is not None:
            self._note(packed)

    def commit(self) -> None:
        """Make the three files appear."""
        self._end_block()
        self._end_copy()
        for stream in (self._records, self._list, self._index):
            stream.commit()

    def abort(self) -> None:
        """Leave no trace of the three files."""
        for stream in (self._records, self._list, self._index):
            stream.abort()

    def _end_block(self) -> None:
        mirrored, self._mirrored = self._mirrored, []
        for sample, packed in mirrored:
            written = self._write(sample)
            if self._note is not None:
                self._note(PackedImage(*packed[:-3], *written))
        if self._lines:
            self._index.write("".join([index for index, _ in self._lines]).encode())
            self._list.write("".join([line for _, line in self._lines]).encode())
            self._lines.clear()

    def _write(self, sample: _Sample) -> _Written:
        start = self._offset
        record_id, label, path, encoded, _ = sample
        self._lines.append((index_line(record_id, start), list_line(record_id, label, path)))
        if isinstance(encoded, StoredImage):
            jpeg_bytes = encoded.jpeg_bytes
            self._take_over(sample, encoded)
        else:
            jpeg_bytes = len(encoded)
            self._append(frame(image_header(record_id, label) + encoded))
        self.samples += 1
        return _Written(start, self._offset, jpeg_bytes)

    def _take_over(self, sample: _Sample, stored: StoredImage) -> None:
        """Copy a record as it is, or with another label before the same picture."""
        source = sample.source
        if source is None:
            raise ValueError(f"{sample.path} is said to be packed, but not where.")
        if stored.has_label:
            self._copy(source, stored.start, stored.stop)
            return
        before, zeros = unbroken_frame(image_header(sample.record_id, sample.label), stored.jpeg_bytes)
        # Labels are whole words, so the picture keeps its place in the words, and with it its padding.
        unbroken = len(before) - len(sample.label) + stored.label_bytes + stored.jpeg_bytes + zeros
        if stored.stop - stored.start == unbroken:
            self._append(before)
            self._copy(source, stored.stop - zeros - stored.jpeg_bytes, stored.stop)
            return
        encoded = encoded_in(source, stored.start, stored.stop)
        self._append(frame(image_header(sample.record_id, sample.label) + encoded))

    def _append(self, data: bytes) -> None:
        self._end_copy()
        self._records.write(data)
        self._offset += len(data)

    def _copy(self, source: Source, start: int, stop: int) -> None:
        self._offset += stop - start
        if self._copying is not None:
            known, first, last = self._copying
            if last == start and known == source and last - first < _LONGEST_COPY:
                self._copying = (known, first, stop)
                return
            self._end_copy()
        self._copying = (source, start, stop)

    def _end_copy(self) -> None:
        if self._copying is not None:
            source, start, stop = self._copying
            self._copying = None
            self._records.copy(source.storage, source.name, start, stop)


def encoded_in(source: Source, start: int, stop: int) -> bytes:
    """The encoded picture of a record that was packed earlier."""
    ((_, payload),) = records(source.storage.read_range(source.name, start, stop))
    return unpack_image(payload)[2]


def slice_bounds(bits: int, slices: int) -> Iterable[tuple[int, int]]:
    """First id and end (exclusive) of every slice: whole blocks, as evenly as they can be dealt out."""
    blocks = 1 << bits
    for number in range(slices):
        first, last = number * blocks // slices, (number + 1) * blocks // slices
        yield first << (ID_BITS - bits), last << (ID_BITS - bits)
