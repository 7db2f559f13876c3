"""Reading object detection datasets out of RecordIO files, without MXNet's reader.

A record is a header (`flag`, `label`, `id`, `id2`), `flag` float32 values of label and an encoded image. The
label is [header width A, object width B, ... up to A values, then B values per object: class, xmin, ymin,
xmax, ymax, ...], coordinates relative to the image. The layout is the one `im2rec --pack-label` writes.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.boxes import Labels, areas
from detector.errors import LabelError, RecordIOError
from detector.images import Payload

_MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", _MAGIC)
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)

# Enough to see the pattern; a failure reason is short.
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class Sample:
    """One image, still encoded, its labels, how many values its label takes, and where it was read."""

    payload: Payload
    labels: Labels
    label_width: int
    origin: str


def read_records(path: Path) -> Iterator[Payload]:
    """Yield every record's payload; payloads map the file and stay valid as long as they are referred to.

    Raises RecordIOError naming the byte offset where the file stops being RecordIO, or why it cannot be read.
    """
    try:
        if path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise RecordIOError(f"{path.name} cannot be read: {error.strerror}") from error
    position = 0
    parts: list[memoryview] = []
    while position < len(content):
        if position + _FRAME.size > len(content):
            raise RecordIOError(f"{path.name} is cut off at byte {position}; copy or pack it again")
        magic, word = _FRAME.unpack_from(content, position)
        if magic != _MAGIC:
            raise RecordIOError(f"{path.name} is no RecordIO file: no record starts at byte {position}")
        flag, length = word >> _LENGTH_BITS, word & ((1 << _LENGTH_BITS) - 1)
        start = position + _FRAME.size
        if start + length > len(content):
            raise RecordIOError(
                f"{path.name} is cut off in the record at byte {position}; copy or pack it again"
            )
        if flag > _LAST or (flag in (_WHOLE, _FIRST)) == bool(parts):
            raise RecordIOError(f"{path.name} has a broken continuation at byte {position}; pack it again")
        payload = content[start : start + length]
        position = start + length + -length % 4
        if flag == _WHOLE:
            yield payload
            continue
        parts.append(payload)
        if flag == _LAST:
            # A writer splits where the payload itself holds the magic at a multiple of 4, and leaves it out.
            yield _MAGIC_BYTES.join(parts)
            parts = []
    if parts:
        raise RecordIOError(f"{path.name} is cut off inside its last record; copy or pack it again")


def read_dataset(paths: Sequence[Path], num_classes: int, label_width: int) -> list[Sample]:
    """Read and check every record of several files, in order.

    Raises RecordIOError for broken framing, LabelError for labels that `num_classes` or `label_width` do not
    hold, that are no detection labels, or when there is no record at all.
    """
    samples = []
    problems = []
    for path in paths:
        for number, payload in enumerate(read_records(path)):
            origin = f"{path.name} record {number}"
            try:
                samples.append(_parse(payload, origin))
            except ValueError as error:
                problems.append(f"{origin}: {error}")
    if not samples and not problems:
        raise LabelError([f"{', '.join(path.name for path in paths)}: no record inside; the split is empty"])
    widest = max((sample.label_width for sample in samples), default=0)
    if widest > label_width:
        problems.append(
            f"label_width={label_width} is too small: the data needs at least label_width={widest}"
        )
    boxed = [sample for sample in samples if len(sample.labels)]
    if boxed:
        worst = max(boxed, key=lambda sample: float(sample.labels[:, 0].max()))
        highest = int(worst.labels[:, 0].max())
        if highest >= num_classes:
            problems.append(
                f"num_classes={num_classes} is too small: {worst.origin} has class {highest}, "
                f"so at least num_classes={highest + 1} is needed (class ids start at 0)"
            )
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        raise LabelError(problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
    return samples


def _parse(payload: Payload, origin: str) -> Sample:
    if len(payload) < _HEADER.size:
        raise ValueError("too short to hold a label and an image")
    flag = _HEADER.unpack_from(payload)[0]
    image_start = _HEADER.size + 4 * flag
    if flag == 0:
        raise ValueError("it carries a single number as label, not boxes; pack it with the boxes as label")
    if image_start >= len(payload):
        raise ValueError("its label takes more bytes than the record has")
    label = np.frombuffer(payload, "<f4", flag, _HEADER.size)
    return Sample(memoryview(payload)[image_start:], _objects(label), flag, origin)


def _objects(label: Labels) -> Labels:
    """Return the boxes of one label: clipped to the image, padding (class -1) and empty boxes left out."""
    if not np.isfinite(label).all():
        raise ValueError("its label holds a value that is no number")
    if len(label) < 2:
        raise ValueError("its label is shorter than its own header")
    header, width = int(label[0]), int(label[1])
    if header < 2 or width < 5:
        raise ValueError(
            f"its label says header width {header} and object width {width}; need at least 2 and 5"
        )
    if header > len(label) or (len(label) - header) % width:
        raise ValueError(f"its label of {len(label)} values does not divide into objects of {width} values")
    rows = label[header:].reshape(-1, width)[:, :5]
    rows = rows[rows[:, 0] >= 0].astype(np.float32)
    if (rows[:, 0] != np.floor(rows[:, 0])).any():
        raise ValueError("its label holds a class that is no integer")
    if len(rows) and float(np.abs(rows[:, 1:]).max()) > 2:
        raise ValueError("its boxes are not relative to the image: coordinates must lie between 0 and 1")
    rows[:, 1:] = rows[:, 1:].clip(0, 1)
    kept: Labels = rows[(areas(rows[:, 1:]) > 0) & (rows[:, 3] > rows[:, 1])]
    return kept
