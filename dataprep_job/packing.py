"""Writing one split: the `.rec`, and the `.lst` and `.idx` beside it, in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import NamedTuple

import numpy as np

from dataprep_job.inspection import Encoded, Photo, StoredImage
from dataprep_job.labels import Split
from dataprep_job.packed_index import PackedImage
from dataprep_job.recalled import (
    FILE_PATH,
    FILE_SIZE,
    FILE_TAG,
    KNOWN_DIGEST,
    KNOWN_JPEG,
    KNOWN_MIRRORED_JPEG,
    Ints,
    RecalledPictures,
)
from dataprep_job.recordio import (
    LABEL_START,
    frame,
    image_header,
    index_line,
    list_line,
    list_lines,
    mirrored_label,
    mirrored_labels,
    records,
    unbroken_frame,
    unpack_image,
)
from dataprep_job.storage import Patch, Storage

BLOCK = 128
"""At most so many photos are packed before their mirrored copies follow, so that no batch holds both."""
ID_BITS = 63
_LONGEST_COPY = 64 << 20
"""Longer stretches are handed over in pieces, so that they are copied while the next are found.

As parts of an S3 upload, of which there are 10,000 at most, these make 640 GB.
"""
_LONGEST_PATCHED = 4 << 20
"""What has other labels is read into memory."""


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
        self,
        storage: Storage,
        split: Split,
        bits: int,
        note: Callable[[Iterable[PackedImage]], None] = lambda _: None,
    ) -> None:
        """
        Args:
            storage: where the files go.
            split: that is packed.
            bits: how many leading bits of an id tell the block, see `block_bits`.
            note: is told where the photos lie.
        """
        self._is_train = split == "train"
        self._split = split
        self._shift = ID_BITS - bits
        self._note = note
        self._records = storage.stream(records_name(split), "application/x-recordio")
        self._list = storage.stream(f"lists/{split}.lst", "text/plain; charset=utf-8")
        self._index = storage.stream(f"lists/{split}.idx", "text/plain; charset=utf-8")
        self._block = -1
        self._mirrored: list[tuple[_Sample, PackedImage] | _PartOfBlock] = []
        self._lines: list[tuple[str, str]] = []
        self._offset = 0
        self._copying: _Copying | None = None
        self.samples = 0

    def add(self, photo: Photo, source: Source | None = None) -> None:
        """Pack a usable, encoded photo, and its mirrored copy where it has one.

        `source` is where the record lies if the photo was packed before.
        """
        plan = photo.plan
        self._enter_block(plan.record_id >> self._shift)
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
        else:
            self._note([packed])

    def add_recalled(self, pictures: RecalledPictures, source: Source) -> None:
        """Pack pictures that lie in `source`, and their mirrored copies where they have any."""
        blocks = pictures.record_ids >> self._shift
        bounds = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(pictures)]
        for first, last in pairwise(bounds):
            self._enter_block(int(blocks[first]))
            part = _PartOfBlock(pictures, first, last, source, self._offset)
            self._copy_records(part, pictures.labels[first:last], pictures.starts, pictures.stops, 0)
            if pictures.mirrored is not None:
                self._mirrored.append(part)
            else:
                self._note(part.packed(None))

    def _enter_block(self, block: int) -> None:
        if block != self._block:
            self._end_block()
            self._block = block

    def _copy_records(
        self, part: _PartOfBlock, labels: Sequence[bytes], all_starts: Ints, all_stops: Ints, odd: int
    ) -> None:
        """Copy the records of neighbours in as few pieces as they lie in, with other labels where need be."""
        pictures, first, last, source = part.pictures, part.first, part.last, part.source
        starts, stops = all_starts[first:last], all_stops[first:last]
        has_label = pictures.has_label[first:last]
        offsets, _ = _moved(starts, stops, self._offset)
        record_ids = (pictures.record_ids[first:last] + odd).tolist()
        index = "".join(map(index_line, record_ids, offsets))
        self._lines.append((index, list_lines(record_ids, labels, pictures.paths[first:last])))
        self.samples += last - first
        is_gap = (starts[1:] != stops[:-1]) | (has_label[1:] != has_label[:-1])
        for begin, end in pairwise([0, *(np.flatnonzero(is_gap) + 1).tolist(), last - first]):
            patches: list[Patch] = []
            if not has_label[begin]:
                places = (starts[begin:end] + LABEL_START).tolist()
                patches = list(map(Patch, places, labels[begin:end]))
            self._copy(source, int(starts[begin]), int(stops[end - 1]), patches)

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
        for several in mirrored:
            if isinstance(several, _PartOfBlock):
                self._end_part(several)
                continue
            sample, packed = several
            written = self._write(sample)
            self._note([PackedImage(*packed[:-3], *written)])
        if self._lines:
            self._index.write("".join([index for index, _ in self._lines]).encode())
            self._list.write("".join([line for _, line in self._lines]).encode())
            self._lines.clear()

    def _end_part(self, part: _PartOfBlock) -> None:
        """Pack the mirrored copies of neighbours."""
        pictures, offset = part.pictures, self._offset
        if pictures.mirrored is None:
            return
        labels = mirrored_labels(pictures.labels[part.first : part.last])
        self._copy_records(part, labels, *pictures.mirrored, 1)
        self._note(part.packed(offset))

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

    def _copy(self, source: Source, start: int, stop: int, patches: Sequence[Patch] = ()) -> None:
        self._offset += stop - start
        known = self._copying
        if known is not None:
            # What is patched passes through memory; the kernel copies the rest.
            longest = _LONGEST_PATCHED if patches else _LONGEST_COPY
            is_near = known.stop == start and known.source == source and bool(known.patches) == bool(patches)
            if is_near and known.stop - known.start < longest:
                known.stop = stop
                known.patches += patches
                return
            self._end_copy()
        self._copying = _Copying(source, start, stop, list(patches))

    def _end_copy(self) -> None:
        if self._copying is not None:
            copying, self._copying = self._copying, None
            source = copying.source
            self._records.copy(source.storage, source.name, copying.start, copying.stop, copying.patches)


@dataclass(slots=True)
class _Copying:
    """Bytes `start` to `stop` that are going to be copied."""

    source: Source
    start: int
    stop: int
    patches: list[Patch]


@dataclass(slots=True)
class _PartOfBlock:
    """Pictures with first <= number < last, neighbours in one block; the first is written at `offset`."""

    pictures: RecalledPictures
    first: int
    last: int
    source: Source
    offset: int

    def packed(self, mirrored_offset: int | None) -> Iterator[PackedImage]:
        """What the index says of them, and of mirrored copies that are written from `mirrored_offset` on."""
        pictures, part = self.pictures, slice(self.first, self.last)
        columns = list(zip(*pictures.rows[part], strict=True))
        starts, stops = _moved(pictures.starts[part], pictures.stops[part], self.offset)
        mirrored: tuple[Sequence[int | None], ...] = ((None,) * len(starts),) * 3
        if mirrored_offset is not None and pictures.mirrored is not None:
            first, behind = pictures.mirrored
            mirrored = (*_moved(first[part], behind[part], mirrored_offset), columns[KNOWN_MIRRORED_JPEG])
        return map(
            PackedImage,
            columns[FILE_PATH],
            columns[FILE_TAG],
            columns[FILE_SIZE],
            *columns[KNOWN_DIGEST : KNOWN_DIGEST + 5],
            repeat(pictures.split),
            pictures.labels[part],
            starts,
            stops,
            columns[KNOWN_JPEG],
            *mirrored,
        )


def _moved(starts: Ints, stops: Ints, offset: int) -> tuple[list[int], list[int]]:
    """Starts and ends of the same records where they follow each other from `offset` on."""
    ends = offset + np.cumsum(stops - starts)
    return (ends - (stops - starts)).tolist(), ends.tolist()


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
