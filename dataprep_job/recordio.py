"""RecordIO (.rec, .idx) and the label of MXNet's detection iterator, byte for byte as mxnet 1.9.1 writes it.

A record is `u32 magic`, `u32 flag << 29 | length`, the payload, zeros up to a multiple of 4; little-endian.
A payload that itself holds the magic at a multiple of 4 is cut there: the magic is dropped (readers put it
back) and the parts are flagged 1 (first), 2 (middle) and 3 (last); 0 is an unbroken record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dataprep_job.errors import RecordError
from dataprep_job.labels import Edges

_MAGIC_WORD = 0xCED7230A
MAGIC = _MAGIC_WORD.to_bytes(4, "little")
MAX_PAYLOAD = (1 << 29) - 1
LABEL_HEADER_WIDTH = 2
OBJECT_WIDTH = 5

_HEADER = struct.Struct("<II")
_IMAGE_HEADER = struct.Struct("<IfQQ")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def frame(payload: bytes) -> bytes:
    """One record holding the payload. Raises RecordError above 512 MiB."""
    length = len(payload)
    if length > MAX_PAYLOAD:
        raise RecordError(f"A RecordIO payload holds at most {MAX_PAYLOAD:,} bytes, not {length:,}.")
    cuts = _aligned_magics(payload)
    if not cuts:
        return b"".join((MAGIC, length.to_bytes(4, "little"), payload, _PADDING[length & 3]))
    parts: list[bytes] = []
    start = 0
    for cut in cuts:
        flag = 2 if start else 1
        parts += (MAGIC, (flag << 29 | cut - start).to_bytes(4, "little"), payload[start:cut])
        start = cut + 4
    parts += (MAGIC, (3 << 29 | length - start).to_bytes(4, "little"), payload[start:], _PADDING[length & 3])
    return b"".join(parts)


def _aligned_magics(payload: bytes) -> list[int]:
    words = np.frombuffer(payload, "<u4", count=len(payload) // 4)
    found: list[int] = np.flatnonzero(words == _MAGIC_WORD).tolist()
    return [4 * word for word in found]


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and payload of every record. Raises RecordError where the bytes are no RecordIO."""
    view = memoryview(data)
    at = 0
    while at < len(data):
        start = at
        parts: list[bytes] = []
        while True:
            if at + 8 > len(data):
                raise RecordError(f"The record at byte {start} is cut off.")
            magic, word = _HEADER.unpack_from(view, at)
            if magic != _MAGIC_WORD:
                raise RecordError(f"No record begins at byte {at}.")
            flag, length = word >> 29, word & MAX_PAYLOAD
            if at + 8 + length > len(data):
                raise RecordError(f"The record at byte {start} is cut off.")
            if (flag in (0, 1)) != (not parts):
                raise RecordError(f"The parts of the record at byte {start} are out of order.")
            parts.append(bytes(view[at + 8 : at + 8 + length]))
            at += 8 + (length + 3 & ~3)
            if flag in (0, 3):
                break
        yield start, MAGIC.join(parts)


def detection_label(objects: Iterable[tuple[int, Edges]]) -> list[float]:
    """The label of one picture: header width, object width, then class id and relative edges of every box."""
    label: list[float] = [LABEL_HEADER_WIDTH, OBJECT_WIDTH]
    for class_id, edges in objects:
        label += (class_id, *edges)
    return label


def label_width(boxes: int) -> int:
    """The length of the label of a picture with so many boxes."""
    return LABEL_HEADER_WIDTH + OBJECT_WIDTH * boxes


def pack_image(record_id: int, label: Sequence[float], encoded: bytes) -> bytes:
    """The payload of a labelled picture: IRHeader (flag: the label's length), label, picture."""
    values = np.asarray(label, dtype="<f4")
    return _IMAGE_HEADER.pack(values.size, 0.0, record_id, 0) + values.tobytes() + encoded


def unpack_image(payload: bytes) -> tuple[int, list[float], bytes]:
    """Record id, label and encoded picture of a payload that `pack_image` made."""
    try:
        size, _, record_id, _ = _IMAGE_HEADER.unpack_from(payload)
        label = np.frombuffer(payload, dtype="<f4", count=size, offset=_IMAGE_HEADER.size)
    except (struct.error, ValueError) as error:
        raise RecordError(f"The payload is no labelled picture: {error}.") from error
    return record_id, label.tolist(), payload[_IMAGE_HEADER.size + 4 * size :]


def list_line(record_id: int, label: Sequence[float], path: str) -> str:
    """The line of a `.lst` file, as im2rec reads it, with enough digits for a float32."""
    return "\t".join((str(record_id), *(f"{value:.9g}" for value in label), path)) + "\n"


def index_line(record_id: int, offset: int) -> str:
    """The line of an `.idx` file."""
    return f"{record_id}\t{offset}\n"
