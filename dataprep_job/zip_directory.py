"""The list of contents of a zip archive, read from its end, a piece at a time.

Format: PKWARE's APPNOTE.TXT 6.3.10 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT). Python's
`zipfile` reads the same list, but keeps some 700 bytes a file in memory, gives up the whole archive for one
odd entry, and does not tell when an archive is only a part of one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_SIGNATURE = b"PK\x06\x06"
_LOCATOR_64 = struct.Struct("<4sLQL")
_LOCATOR_64_SIGNATURE = b"PK\x06\x07"
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_SPANNED_SIGNATURE = b"PK\x07\x08"

LOCAL_HEADER_BYTES = _LOCAL.size
"""The least that every file takes up in front of its data."""

_TAIL = _END.size + 0xFFFF + _LOCATOR_64.size + _END_64.size
_CHUNK = 1 << 20
_NONE_16, _NONE_32 = 0xFFFF, 0xFFFFFFFF
_TURN = 1 << 32
_MOST_ENDS = 64
"""How many times bytes that look like the end record are tried; a comment holds hardly one."""
_EXTRA_ZIP64, _EXTRA_UNICODE_PATH = 0x0001, 0x7075
_LOCAL_EXTRA_SLACK = 96
"""Info-ZIP's extra fields are longer in front of the data than in the list."""

_FLAG_ENCRYPTED, _FLAG_PATCH, _FLAG_STRONG, _FLAG_UTF8, _FLAG_MASKED = 1, 1 << 5, 1 << 6, 1 << 11, 1 << 13

ReadRange = Callable[[int, int], bytes]
"""`read(start, size)`: bytes of the archive."""


class ZipError(Exception):
    """No zip archive, a damaged one or a part of one; `code` is the defect it amounts to."""

    def __init__(self, message: str, code: str = "archive.damaged") -> None:
        super().__init__(message)
        self.code = code


class Directory(NamedTuple):
    """Where the list of contents lies: `entries` in `size` bytes from `start` on.

    Attributes:
        shift: what was put in front of the archive; offsets in its entries do not count it.
        turns: how often offsets began again at 0: Apple's Archive Utility writes no zip64 beyond 4 GiB.
    """

    start: int
    size: int
    entries: int
    shift: int
    turns: int


class Member(NamedTuple):
    """One file in the archive, as its list of contents describes it.

    Attributes:
        name: as written; may be any text.
        offset: of the header in front of the data.
        lead: how many bytes that header probably has.
        compressed: bytes of data in the archive.
        size: bytes once unpacked.
        mode: Unix file type and permissions, 0 where not known.
        is_damaged: its sizes or its offset cannot be read.
    """

    name: str
    offset: int
    lead: int
    compressed: int
    size: int
    method: int
    crc: int
    mode: int
    is_encrypted: bool
    is_elsewhere: bool
    is_damaged: bool


def find_directory(read: ReadRange, size: int) -> Directory:
    """Find the list of contents of an archive of `size` bytes.

    Raises:
        ZipError: there is none.
    """
    tail_start = max(0, size - _TAIL)
    tail = read(tail_start, size - tail_start)
    is_spanned = False
    at = len(tail) - _END.size + 1
    for _ in range(_MOST_ENDS):
        at = tail.rfind(_END_SIGNATURE, 0, max(0, at + 3))
        if at < 0:
            break
        directory, is_part = _directory(read, tail, at, tail_start + at)
        is_spanned = is_spanned or is_part
        if directory is not None:
            return directory
    first = read(0, 4)
    if is_spanned or first == _SPANNED_SIGNATURE:
        raise ZipError("It is one part of a zip archive in several parts.", "archive.spanned")
    if first in (_LOCAL_SIGNATURE, _END_SIGNATURE):
        raise ZipError("The zip archive is cut off: its list of contents, at the end, is missing.")
    raise ZipError("It is no zip archive, in spite of its name.")


def _directory(read: ReadRange, tail: bytes, at: int, end: int) -> tuple[Directory | None, bool]:
    """What the end record at `tail[at:]`, `end` in the archive, says, and whether that of a part of one.

    It says nothing where it is only bytes that look like one.
    """
    _, disk, first_disk, _, count, size, offset, _ = _END.unpack_from(tail, at)
    is_spanned = disk not in (0, _NONE_16) or first_disk not in (0, _NONE_16)
    found = _end_64(read, tail[max(0, at - _LOCATOR_64.size) : at], end - _LOCATOR_64.size)
    if found is not None:
        is_spanned, count, size, offset, end = found
    if is_spanned:
        return None, True
    turns, shift = divmod(end - size - offset, _TURN)
    if turns < 0:
        return None, False
    if turns or shift:
        # The end of a zip inside a zip that is cut off must not pass for its own.
        is_inner = shift and read(0, 4) == _LOCAL_SIGNATURE
        if is_inner or (size and read(end - size, 4) != _ENTRY_SIGNATURE):
            return None, False
    return Directory(end - size, size, count, shift, turns), False


def _end_64(read: ReadRange, locator: bytes, end: int) -> tuple[bool, int, int, int, int] | None:
    """Spanned or not, count, size, offset and own place of the record of archives beyond 4 GiB."""
    if len(locator) < _LOCATOR_64.size or not locator.startswith(_LOCATOR_64_SIGNATURE):
        return None
    _, _, stated, disks = _LOCATOR_64.unpack(locator)
    # Where something was put in front of the archive the stated place is wrong, but not the usual one.
    for place in (stated, end - _END_64.size):
        record = read(place, _END_64.size) if 0 <= place <= end - _END_64.size else b""
        if record.startswith(_END_64_SIGNATURE):
            _, _, _, _, disk, first_disk, _, count, size, offset = _END_64.unpack(record)
            return disks > 1 or disk != 0 or first_disk != 0, count, size, offset, place
    return None


def members(read: ReadRange, directory: Directory) -> Iterator[Member]:
    """Yield the entries of a list of contents, in its order.

    Raises:
        ZipError: after every entry before the damage has been yielded.
    """
    left, position = directory.size, directory.start
    buffer, at, count = b"", 0, 0
    turned, last = 0, 0
    while left or at < len(buffer):
        # An entry has at most 46 + 3 * 65,535 bytes, so one chunk always completes it.
        if len(buffer) - at < _ENTRY.size + 3 * _NONE_16 and left:
            chunk = read(position, min(_CHUNK, left))
            left = left - len(chunk) if chunk else 0
            position += len(chunk)
            buffer, at = buffer[at:] + chunk, 0
        entry = _entry(buffer, at, directory)
        if entry is None:
            break
        member, at = entry
        count += 1
        if turned < directory.turns * _TURN and member.offset + turned < last:
            turned += _TURN
        last = member.offset + turned
        yield member._replace(offset=last) if turned else member
    # Counts above 65,535 do not fit into the record of older tools.
    if count != directory.entries and count & _NONE_16 != directory.entries:
        raise ZipError(
            f"The list of contents is damaged: {count:,} of {directory.entries:,} files could be found."
        )


def _entry(buffer: bytes, at: int, directory: Directory) -> tuple[Member, int] | None:
    """The entry at `buffer[at:]` and where the next one begins; None where there is no whole entry."""
    if len(buffer) - at < _ENTRY.size or not buffer.startswith(_ENTRY_SIGNATURE, at):
        return None
    fields = _ENTRY.unpack_from(buffer, at)
    flags, method, _, _, crc, compressed, size = fields[3:10]
    name_bytes, extra_bytes, comment_bytes, disk, _, attributes, offset = fields[10:]
    name_end = at + _ENTRY.size + name_bytes
    extra_end = name_end + extra_bytes
    if extra_end + comment_bytes > len(buffer):
        return None
    raw = buffer[at + _ENTRY.size : name_end]
    extras = _extra_fields(buffer[name_end:extra_end])
    large = _large_numbers(extras.get(_EXTRA_ZIP64, b""), size, compressed, offset, disk)
    if large is not None:
        size, compressed, offset, disk = large
    offset += directory.shift
    member = Member(
        name=_name(raw, flags, extras),
        offset=offset,
        lead=_LOCAL.size + name_bytes + extra_bytes + _LOCAL_EXTRA_SLACK,
        compressed=compressed,
        size=size,
        method=method,
        crc=crc,
        mode=attributes >> 16,
        is_encrypted=bool(flags & (_FLAG_ENCRYPTED | _FLAG_STRONG | _FLAG_MASKED)),
        is_elsewhere=disk != 0 or bool(flags & _FLAG_PATCH),
        is_damaged=large is None or offset + _LOCAL.size + compressed > directory.start,
    )
    return member, extra_end + comment_bytes


def _extra_fields(data: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        fields.setdefault(kind, data[at + 4 : at + 4 + size])
        at += 4 + size
    return fields


def _large_numbers(
    extra: bytes, size: int, compressed: int, offset: int, disk: int
) -> tuple[int, int, int, int] | None:
    """The numbers of an entry, from the zip64 field where they do not fit into their own."""
    at = 0
    found: list[int] = []
    for number in (size, compressed, offset):
        if number != _NONE_32:
            found.append(number)
            continue
        if at + 8 > len(extra):
            return None
        found.append(int.from_bytes(extra[at : at + 8], "little"))
        at += 8
    if disk == _NONE_16:
        disk = int.from_bytes(extra[at : at + 4], "little")
    return found[0], found[1], found[2], disk


def _name(raw: bytes, flags: int, extras: dict[int, bytes]) -> str:
    """A name in UTF-8, flagged or not, otherwise in the code page of the first PCs, as Python has it."""
    unicode_path = extras.get(_EXTRA_UNICODE_PATH, b"")
    if unicode_path[:1] == b"\1" and int.from_bytes(unicode_path[1:5], "little") == zlib.crc32(raw):
        raw, flags = unicode_path[5:], flags | _FLAG_UTF8
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace") if flags & _FLAG_UTF8 else raw.decode("cp437")


def data_start(header: bytes) -> int | None:
    """Where the data begins behind the header in front of it, from that header's start; None: it is none."""
    if len(header) < _LOCAL.size or not header.startswith(_LOCAL_SIGNATURE):
        return None
    *_, name_bytes, extra_bytes = _LOCAL.unpack_from(header)
    return _LOCAL.size + int(name_bytes) + int(extra_bytes)
