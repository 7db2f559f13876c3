"""RecordIO (.rec, .idx) and the label of MXNet's detection iterator, byte for byte as mxnet 1.9.1 writes it.

A record is `u32 magic`, `u32 flag << 29 | length`, the payload, zeros up to a multiple of 4; little-endian.
A payload that itself holds the magic at a multiple of 4 is cut there: the magic is dropped (readers put it
back) and the parts are flagged 1 (first), 2 (middle) and 3 (last); 0 is an unbroken record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

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


def detection_label(objects: Sequence[tuple[int, Edges]]) -> bytes:
    """The label of one picture: header width, object width, then class id and relative edges of every box.

    Returns:
        float32, little-endian.
    """
    values = [
        LABEL_HEADER_WIDTH,
        OBJECT_WIDTH,
        *chain.from_iterable((number, *edges) for number, edges in objects),
    ]
    return struct.pack(f"<{len(values)}f", *values)


def mirrored_label(label: bytes) -> bytes:
    """The label of the mirrored copy of a picture."""
    return mirrored_labels([label])[0]


def mirrored_labels(labels: Sequence[bytes]) -> list[bytes]:
    """The labels of the mirrored copies of many pictures."""
    values = np.frombuffer(b"".join(labels), "<f4").copy()
    lengths = np.array([len(label) for label in labels], np.int64)
    ends = np.cumsum(lengths)
    objects = (lengths // 4 - LABEL_HEADER_WIDTH) // OBJECT_WIDTH
    owners = np.repeat(np.arange(len(labels)), objects)
    places = LABEL_HEADER_WIDTH * (owners + 1) + OBJECT_WIDTH * np.arange(len(owners))
    left, right = values[places + 1].astype(np.float64), values[places + 3].astype(np.float64)
    values[places + 1], values[places + 3] = 1 - right, 1 - left
    data = values.tobytes()
    return [data[start:end] for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True)]


def label_values(label: bytes) -> tuple[float, ...]:
    """The numbers of a label."""
    return struct.unpack(f"<{len(label) // 4}f", label)


def label_boxes(label: bytes, width: float, height: float) -> list[tuple[int, Edges]]:
    """The class ids and boxes of a label, in pixels of a picture of this size."""
    values = label_values(label)
    return [
        (int(values[at]), Edges(*values[at + 1 : at + OBJECT_WIDTH]).absolute(width, height))
        for at in range(LABEL_HEADER_WIDTH, len(values), OBJECT_WIDTH)
    ]


def label_width(boxes: int) -> int:
    """The length of the label of a picture with so many boxes."""
    return LABEL_HEADER_WIDTH + OBJECT_WIDTH * boxes


def image_header(record_id: int, label: bytes) -> bytes:
    """What stands before the encoded picture in a payload: IRHeader (flag: the label's length), label."""
    return _IMAGE_HEADER.pack(len(label) // 4, 0.0, record_id, 0) + label


def pack_image(record_id: int, label: bytes, encoded: bytes) -> bytes:
    """The payload of a labelled picture."""
    return image_header(record_id, label) + encoded


def unbroken_frame(header: bytes, encoded_bytes: int) -> tuple[bytes, int]:
    """The parts around a picture that holds no magic: what stands before it, and how many zeros behind.

    A record of exactly `len(before) + encoded_bytes + zeros` bytes is unbroken.
    """
    length = len(header) + encoded_bytes
    return b"".join((MAGIC, length.to_bytes(4, "little"), header)), len(_PADDING[length & 3])


def unbroken_bytes(label_bytes: NDArray[np.int64], encoded_bytes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The length of records of labelled pictures that hold no magic."""
    return _HEADER.size + (_IMAGE_HEADER.size + label_bytes + encoded_bytes + 3 & ~3)


LABEL_START = _HEADER.size + _IMAGE_HEADER.size
"""Where the label begins in the record of a labelled picture."""


def unpack_image(payload: bytes) -> tuple[int, list[float], bytes]:
    """Record id, label and encoded picture of a payload that `pack_image` made."""
    try:
        size, _, record_id, _ = _IMAGE_HEADER.unpack_from(payload)
        label = struct.unpack_from(f"<{size}f", payload, _IMAGE_HEADER.size)
    except struct.error as error:
        raise RecordError(f"The payload is no labelled picture: {error}.") from error
    return record_id, list(label), payload[_IMAGE_HEADER.size + 4 * size :]


def list_line(record_id: int, label: bytes, path: str) -> str:
    """The line of a `.lst` file, as im2rec reads it, with enough digits for a float32.

    label: such as `detection_label` makes.
    """
    return _line_form(len(label) // 4) % (record_id, *label_values(label)[LABEL_HEADER_WIDTH:], path)


def list_lines(record_ids: Sequence[int], labels: Sequence[bytes], paths: Sequence[str]) -> str:
    """The lines of many records, see `list_line`."""
    return "".join(map(list_line, record_ids, labels, paths))


@lru_cache(1000)
def _line_form(width: int) -> str:
    numbers = "\t%.9g" * (width - LABEL_HEADER_WIDTH)
    return f"%d\t{LABEL_HEADER_WIDTH}\t{OBJECT_WIDTH}{numbers}\t%s\n"


def index_line(record_id: int, offset: int) -> str:
    """The line of an `.idx` file."""
    return f"{record_id}\t{offset}\n"
