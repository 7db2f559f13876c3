"""Unpacking one file of a zip archive where it lies, whole or as a stream; it must be what was packed."""

from __future__ import annotations

import io
import zlib
from contextlib import closing
from typing import BinaryIO, NamedTuple, cast

from dataprep_job.errors import MemberDamagedError
from dataprep_job.file_source import RangedSource, SourceFile
from dataprep_job.zip_directory import STORED, data_start

_WHOLE_BYTES = 8 << 20
"""Members up to this size are unpacked at once when they are opened; larger ones are streamed."""

_CHUNK = 256 << 10


class PackedMember(NamedTuple):
    """A member of an archive and where it lies; see `zip_directory.Member`."""

    path: str
    offset: int
    lead: int
    compressed: int
    size: int
    method: int
    crc: int
    archive: SourceFile

    def check(self, size: int, crc: int) -> None:
        """Raise MemberDamagedError where something else came out than was packed."""
        if size != self.size:
            raise self.damaged(
                f"it unpacks to {'more' if size > self.size else 'less'} than the archive says"
            )
        if crc != self.crc:
            raise self.damaged("its check sum is wrong")

    def damaged(self, reason: str) -> MemberDamagedError:
        """The error to raise."""
        return MemberDamagedError(f"{self.path} cannot be unpacked: {reason}.")


def unpack(source: RangedSource, packed: PackedMember) -> bytes:
    """All bytes of a member, never more than its archive says it has.

    Raises:
        MemberDamagedError: it is not what was packed.
        FileGoneError: the archive is gone.
    """
    data = source.read_range(packed.archive, packed.offset, packed.lead + packed.compressed)
    start = _start(data, packed)
    if start + packed.compressed > len(data):
        data = source.read_range(packed.archive, packed.offset, start + packed.compressed)
    body = memoryview(data)[start : start + packed.compressed]
    if packed.method == STORED:
        found = bytes(body)
    else:
        try:
            # One byte more than stated, to notice it.
            found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, packed.size + 1)
        except zlib.error as error:
            raise packed.damaged("its data are damaged") from error
    packed.check(len(found), zlib.crc32(found))
    return found


def open_member(source: RangedSource, packed: PackedMember) -> BinaryIO:
    """A member as a stream. Large ones are unpacked twice: what is damaged at its end is not begun.

    Raises:
        MemberDamagedError: it is not what was packed.
        FileGoneError: the archive is gone.
    """
    if packed.size <= _WHOLE_BYTES:
        return io.BytesIO(unpack(source, packed))
    with closing(_MemberStream(source, packed)) as trial:
        while trial.read(_CHUNK):
            pass
    return cast(BinaryIO, io.BufferedReader(_MemberStream(source, packed), _CHUNK))


def _start(header: bytes, packed: PackedMember) -> int:
    start = data_start(header)
    if start is None:
        raise packed.damaged("it does not begin where the archive says")
    return start


class _MemberStream(io.RawIOBase):
    """Unpacks a member while it is read, in memory that does not depend on its size."""

    def __init__(self, source: RangedSource, packed: PackedMember) -> None:
        self._source = source
        self._packed = packed
        start = _start(source.read_range(packed.archive, packed.offset, packed.lead), packed)
        self._at = packed.offset + start
        self._left = packed.compressed
        self._waiting = b""
        self._inflater = None if packed.method == STORED else zlib.decompressobj(-zlib.MAX_WBITS)
        self._is_done = False
        self._size = self._crc = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        most = len(buffer)
        found = b""
        while most and not found and not self._is_done:
            if not self._waiting and self._left:
                self._fetch()
            found = self._take(most) if self._inflater is None else self._inflate(self._inflater, most)
        self._size += len(found)
        self._crc = zlib.crc32(found, self._crc)
        if self._is_done or self._size > self._packed.size:
            self._packed.check(self._size, self._crc)
        buffer[: len(found)] = found
        return len(found)

    def _fetch(self) -> None:
        self._waiting = self._source.read_range(self._packed.archive, self._at, min(_CHUNK, self._left))
        if not self._waiting:
            raise self._packed.damaged("it is cut off")
        self._at += len(self._waiting)
        self._left -= len(self._waiting)

    def _take(self, most: int) -> bytes:
        found, self._waiting = self._waiting[:most], self._waiting[most:]
        self._is_done = not self._waiting and not self._left
        return found

    def _inflate(self, inflater: zlib._Decompress, most: int) -> bytes:
        is_fed = bool(self._waiting)
        try:
            found = inflater.decompress(self._waiting, most)
        except zlib.error as error:
            raise self._packed.damaged("its data are damaged") from error
        self._waiting = inflater.unconsumed_tail
        # The inflater may hold more output than fitted in, although it has taken all input.
        self._is_done = inflater.eof or (not found and not is_fed)
        return found
