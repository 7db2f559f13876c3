"""RecordIO: laws that need no mxnet (the comparison with mxnet is in tests/integration)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.errors import RecordError
from dataprep_job.labels import Edges
from dataprep_job.recordio import (
    MAGIC,
    detection_label,
    frame,
    index_line,
    label_values,
    label_width,
    list_line,
    pack_image,
    records,
    unpack_image,
)

chunk = st.one_of(st.just(MAGIC), st.binary(max_size=9))
payload = st.lists(chunk, max_size=8).map(b"".join)


def test_an_empty_payload_by_hand() -> None:
    assert frame(b"") == MAGIC + bytes(4)


def test_a_payload_is_padded_to_four_bytes() -> None:
    assert frame(b"abcde") == MAGIC + b"\x05\0\0\0abcde\0\0\0"


def test_an_aligned_magic_cuts_the_payload() -> None:
    first = MAGIC + struct.pack("<I", 1 << 29 | 4) + b"abcd"
    assert frame(b"abcd" + MAGIC + b"ef") == first + MAGIC + struct.pack("<I", 3 << 29 | 2) + b"ef\0\0"


def test_an_unaligned_magic_does_not() -> None:
    assert frame(b"a" + MAGIC) == MAGIC + b"\x05\0\0\0a" + MAGIC + b"\0\0\0"


@given(st.lists(payload, max_size=5))
def test_what_is_framed_is_read_back(payloads: list[bytes]) -> None:
    framed = [frame(one) for one in payloads]
    read = list(records(b"".join(framed)))
    assert [one for _, one in read] == payloads
    assert [offset for offset, _ in read] == [sum(map(len, framed[:n])) for n in range(len(framed))]


@given(payload, st.integers(1, 20))
def test_a_cut_off_file_is_an_error(one: bytes, missing: int) -> None:
    framed = frame(one)
    padding = -len(one) % 4
    if padding < missing < len(framed):
        with pytest.raises(RecordError):
            list(records(framed[:-missing]))


def test_a_label_as_the_notebook_writes_it() -> None:
    label = detection_label([(0, Edges(0.125, 0.25, 0.5, 1.0)), (3, Edges(0, 0.1, 1, 1))])
    values = label_values(label)
    assert values == pytest.approx([2, 5, 0, 0.125, 0.25, 0.5, 1.0, 3, 0, 0.1, 1, 1])
    assert len(values) == label_width(2)
    line = "7\t2\t5\t0\t0.125\t0.25\t0.5\t1\t3\t0\t0.100000001\t1\t1\ta b.jpg\n"
    assert list_line(7, label, "a b.jpg") == line
    assert index_line(7, 128) == "7\t128\n"


@given(
    st.integers(0, 2**63),
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40),
    st.binary(max_size=40),
)
def test_a_packed_image_is_read_back(record_id: int, label: list[float], encoded: bytes) -> None:
    packed = struct.pack(f"<{len(label)}f", *label)
    assert unpack_image(pack_image(record_id, packed, encoded)) == (record_id, label, encoded)


def test_what_is_no_labelled_picture_is_an_error() -> None:
    with pytest.raises(RecordError):
        unpack_image(b"short")
