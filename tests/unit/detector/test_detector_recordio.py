"""Our RecordIO reader against MXNet's own writer, and the checks on labels."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.errors import LabelError, RecordIOError
from detector.mxnet_runtime import mx
from detector.recordio_dataset import read_dataset, read_records

MAGIC = struct.pack("<I", 0xCED7230A)


def write(path: Path, payloads: list[bytes]) -> Path:
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for payload in payloads:
        writer.write(payload)
    writer.close()
    return path


def pack(label: list[float], image: bytes = b"image") -> bytes:
    header = mx.recordio.IRHeader(0, np.float32(label), 3, 0)
    with warnings.catch_warnings():
        # It still calls ndarray.tostring.
        warnings.simplefilter("ignore", DeprecationWarning)
        return mx.recordio.pack(header, image)


payloads = st.lists(
    st.lists(st.one_of(st.binary(max_size=9), st.just(MAGIC)), max_size=8).map(b"".join), max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(payloads)
def test_reads_what_mxnet_writes(tmp_path: Path, written: list[bytes]) -> None:
    assert [bytes(p) for p in read_records(write(tmp_path / "a.rec", written))] == written


def test_a_payload_with_the_magic_inside_is_split_and_put_together(tmp_path: Path) -> None:
    payload = b"abcd" + MAGIC + b"efgh" + MAGIC + MAGIC + b"xy"
    path = write(tmp_path / "a.rec", [payload, b"next"])
    assert path.read_bytes().count(MAGIC) == 5
    assert [bytes(p) for p in read_records(path)] == [payload, b"next"]


def test_files_laid_end_to_end_are_one_dataset(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", [b"1"]), write(tmp_path / "b", [b"22", b"333"])
    (tmp_path / "c").write_bytes(first.read_bytes() + second.read_bytes())
    assert [bytes(p) for p in read_records(tmp_path / "c")] == [b"1", b"22", b"333"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a rec", "no record starts at byte 0"),
        (MAGIC + struct.pack("<I", 100) + b"short", "cut off in the record at byte 0"),
        (MAGIC, "cut off at byte 0"),
        (MAGIC + struct.pack("<I", 1 << 29 | 4) + b"abcd", "cut off inside its last record"),
        (MAGIC + struct.pack("<I", 3 << 29 | 4) + b"abcd", "broken continuation at byte 0"),
        (MAGIC + struct.pack("<I", 5 << 29 | 4) + b"abcd", "broken continuation at byte 0"),
    ],
)
def test_broken_files_name_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.rec").write_bytes(content)
    with pytest.raises(RecordIOError, match=message):
        list(read_records(tmp_path / "a.rec"))


def test_labels_of_any_header_and_object_width(tmp_path: Path) -> None:
    wide = pack([4, 6, 640, 480, 1, 0.1, 0.2, 0.3, 0.4, 0, 0, 0.5, 0.5, 1, 1, 1])
    padded = pack([2, 5, 2, 0, 0, 0.5, 0.25] + [-1] * 5)
    (first, second) = read_dataset([write(tmp_path / "a.rec", [wide, padded])], 3, 350)
    np.testing.assert_allclose(first.labels, [[1, 0.1, 0.2, 0.3, 0.4], [0, 0.5, 0.5, 1, 1]])
    np.testing.assert_allclose(second.labels, [[2, 0, 0, 0.5, 0.25]])
    assert bytes(first.payload) == b"image"
    assert first.label_width == 16


def test_boxes_are_clipped_and_empty_ones_dropped(tmp_path: Path) -> None:
    label = [2, 5, 0, -0.01, 0.5, 1.02, 0.75, 0, 0.3, 0.3, 0.3, 0.6, 0, 0.6, 0.6, 0.5, 0.5]
    (sample,) = read_dataset([write(tmp_path / "a.rec", [pack(label)])], 1, 350)
    np.testing.assert_allclose(sample.labels, [[0, 0, 0.5, 1, 0.75]])


def test_an_image_without_boxes_is_a_sample(tmp_path: Path) -> None:
    (sample,) = read_dataset([write(tmp_path / "a.rec", [pack([2, 5])])], 1, 350)
    assert sample.labels.shape == (0, 5)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([2, 4, 0, 0, 1, 1], "header width 2 and object width 4"),
        ([2, 5, 0, 0, 0, 1], "does not divide into objects"),
        ([2, 5, 0, 10, 20, 200, 100], "not relative to the image"),
        ([2, 5, 0, float("nan"), 0, 1, 1], "no number"),
        ([2, 5, 0.5, 0, 0, 1, 1], "no integer"),
        ([7], "shorter than its own header"),
    ],
)
def test_unusable_labels_name_the_record(tmp_path: Path, label: list[float], message: str) -> None:
    path = write(tmp_path / "a.rec", [pack([2, 5, 0, 0, 0, 1, 1]), pack(label)])
    with pytest.raises(LabelError, match=f"a.rec record 1: .*{message}"):
        read_dataset([path], 1, 350)


def test_a_plain_number_as_label_is_refused(tmp_path: Path) -> None:
    record = mx.recordio.pack(mx.recordio.IRHeader(0, 4.0, 0, 0), b"image")
    with pytest.raises(LabelError, match="single number as label"):
        read_dataset([write(tmp_path / "a.rec", [record])], 1, 350)


def test_too_few_classes_and_too_narrow_labels_are_told_together(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rec", [pack([2, 5, 4, 0, 0, 1, 1])])
    with pytest.raises(LabelError) as caught:
        read_dataset([path], 3, 6)
    assert caught.value.problems == (
        "label_width=6 is too small: the data needs at least label_width=7",
        (
            "num_classes=3 is too small: a.rec record 0 has class 4, so at least num_classes=5 is needed "
            "(class ids start at 0)"
        ),
    )


def test_many_problems_are_counted(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as caught:
        read_dataset([write(tmp_path / "a.rec", [pack([7])] * 9)], 1, 350)
    assert caught.value.problems[-1] == "and 4 more"


def test_an_empty_file_is_an_empty_split(tmp_path: Path) -> None:
    (tmp_path / "a.rec").touch()
    with pytest.raises(LabelError, match="the split is empty"):
        read_dataset([tmp_path / "a.rec"], 1, 350)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.rec").mkdir()
    with pytest.raises(RecordIOError, match=r"train\.rec cannot be read: Is a directory"):
        list(read_records(tmp_path / "train.rec"))
