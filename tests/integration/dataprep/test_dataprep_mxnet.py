"""Whether mxnet 1.9.1 reads what was packed: every label, every picture, framing byte for byte."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nestbox.prep_summary import PrepSummary

from dataprep_job.__main__ import main
from dataprep_job.recordio import MAGIC, frame, index_line, pack_image

np.bool = bool  # type: ignore[attr-defined]  # mxnet 1.9.1 still asks numpy for it
mx = pytest.importorskip("mxnet")

chunk = st.one_of(st.just(MAGIC), st.binary(max_size=9))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(chunk, max_size=8).map(b"".join), min_size=1, max_size=5))
def test_framing_is_byte_identical(tmp_path: Path, payloads: list[bytes]) -> None:
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for key, payload in enumerate(payloads):
        writer.write_idx(key, payload)
    writer.close()
    framed = [frame(payload) for payload in payloads]
    assert (tmp_path / "a.rec").read_bytes() == b"".join(framed)
    offsets = [sum(map(len, framed[:n])) for n in range(len(framed))]
    index = "".join(index_line(key, offset) for key, offset in enumerate(offsets))
    assert (tmp_path / "a.idx").read_text() == index


@given(
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30),
    st.integers(0, 2**40),
    st.binary(max_size=20),
)
def test_payloads_are_byte_identical(label: list[float], record_id: int, encoded: bytes) -> None:
    header = mx.recordio.IRHeader(0, label, record_id, 0)
    packed = struct.pack(f"<{len(label)}f", *label)
    assert pack_image(record_id, packed, encoded) == mx.recordio.pack(header, encoded)


@pytest.fixture(scope="module")
def packed(bccd: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PrepSummary]:
    """The real BCCD set, packed into a folder."""
    out = tmp_path_factory.mktemp("bccd") / "prep"
    arguments = ["prepare", "--run", "bccd-20261124120000-0a1b", "--dataset", "bccd"]
    arguments += ["--source", str(bccd), "--output", str(out), "--judging", str(out.with_name("judging"))]
    assert main(arguments) == 0
    return out, PrepSummary.from_json((out / "summary.json").read_text())


def listed_labels(path: Path) -> dict[int, tuple[list[float], str]]:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {int(row[0]): ([float(value) for value in row[1:-1]], row[-1]) for row in rows}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_record_reads_back_equal(packed: tuple[Path, PrepSummary], split: str) -> None:
    out, summary = packed
    reader = mx.recordio.MXIndexedRecordIO(
        str(out / "lists" / f"{split}.idx"), str(out / "channels" / split / f"{split}.rec"), "r"
    )
    listed = listed_labels(out / "lists" / f"{split}.lst")
    assert list(reader.keys) == list(listed)
    for key in reader.keys:
        header, image = mx.recordio.unpack_img(reader.read_idx(key))
        assert header.id == key
        assert header.label.tolist() == pytest.approx(listed[key][0], abs=1e-7)
        assert min(image.shape[:2]) <= summary.image_size
        assert header.label[:2].tolist() == [2, 5]
        boxes = header.label[2:].reshape(-1, 5)
        assert ((boxes[:, 1:] >= 0) & (boxes[:, 1:] <= 1)).all()
        assert (boxes[:, 1] < boxes[:, 3]).all()
        assert (boxes[:, 2] < boxes[:, 4]).all()
        assert set(boxes[:, 0]) <= set(range(len(summary.classes)))


def test_sequential_reading_gives_as_many_records(packed: tuple[Path, PrepSummary]) -> None:
    out, summary = packed
    reader = mx.recordio.MXRecordIO(str(out / "channels/train/train.rec"), "r")
    count = 0
    while reader.read() is not None:
        count += 1
    assert count == summary.train_samples


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_detection_iterator_reads_it_with_our_label_width(
    packed: tuple[Path, PrepSummary], split: str
) -> None:
    out, summary = packed
    iterator = mx.io.ImageDetRecordIter(
        path_imgrec=str(out / "channels" / split / f"{split}.rec"),
        data_shape=(3, 128, 128),
        batch_size=10,
        label_pad_width=summary.label_width,
        round_batch=False,
        preprocess_threads=1,
    )
    read: list[list[float]] = []
    for batch in iterator:
        kept = batch.data[0].shape[0] - batch.pad
        labels = batch.label[0].asnumpy()[:kept]
        # Four numbers of its own (channels, height, width, length) come before the label as packed.
        assert labels.shape[1] == 4 + summary.label_width
        read += [label[4 : 4 + int(label[3])].tolist() for label in labels]
    expected = [label for label, _ in listed_labels(out / "lists" / f"{split}.lst").values()]
    assert len(read) == len(expected)
    for label, listed in zip(read, expected, strict=True):
        assert label == pytest.approx(listed, abs=1e-6)


def test_our_list_gives_the_same_labels_through_mxnets_own_packer(
    packed: tuple[Path, PrepSummary], bccd: Path, tmp_path: Path
) -> None:
    out, _ = packed
    (tmp_path / "validation.lst").write_text((out / "lists/validation.lst").read_text())
    im2rec = Path(mx.__file__).parent / "tools" / "im2rec.py"
    start = f"import numpy, runpy, sys; numpy.bool = bool; sys.argv[0] = {str(im2rec)!r}"
    run = "runpy.run_path(sys.argv[0], run_name='__main__')"
    subprocess.run(
        [
            *(sys.executable, "-c", f"{start}; {run}", "--pack-label", "--resize", "64"),
            *(str(tmp_path / "validation"), str(bccd)),
        ],
        check=True,
        capture_output=True,
    )
    theirs, ours = (
        mx.recordio.MXIndexedRecordIO(str(index), str(record), "r")
        for index, record in (
            (tmp_path / "validation.idx", tmp_path / "validation.rec"),
            (out / "lists/validation.idx", out / "channels/validation/validation.rec"),
        )
    )
    assert sorted(theirs.keys) == sorted(ours.keys)
    for key in ours.keys:
        packed_by_mxnet, _ = mx.recordio.unpack(theirs.read_idx(key))
        packed_by_us, _ = mx.recordio.unpack(ours.read_idx(key))
        assert packed_by_mxnet.id == packed_by_us.id == key
        assert packed_by_mxnet.label.tolist() == packed_by_us.label.tolist()


def test_a_smaller_label_width_would_not_do(packed: tuple[Path, PrepSummary]) -> None:
    out, summary = packed
    widths = {
        split: max(len(label) for label, _ in listed_labels(out / f"lists/{split}.lst").values())
        for split in ("train", "validation", "test")
    }
    assert max(widths.values()) == summary.label_width
    split = max(widths, key=lambda name: widths[name])
    with pytest.raises(mx.MXNetError, match="label_pad_width"):
        mx.io.ImageDetRecordIter(
            path_imgrec=str(out / "channels" / split / f"{split}.rec"),
            data_shape=(3, 128, 128),
            batch_size=10,
            label_pad_width=summary.label_width - 5,
        )


def test_colours_survive(packed: tuple[Path, PrepSummary], bccd: Path) -> None:
    import cv2

    out, _ = packed
    listed = listed_labels(out / "lists/validation.lst")
    reader = mx.recordio.MXIndexedRecordIO(
        str(out / "lists/validation.idx"), str(out / "channels/validation/validation.rec"), "r"
    )
    key = next(iter(listed))
    _, image = mx.recordio.unpack_img(reader.read_idx(key))
    original = cv2.imread(str(bccd / listed[key][1]))
    original = cv2.resize(original, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - original).mean() < 3


def test_files_concatenate(
    packed: tuple[Path, PrepSummary], tmp_path: Path, drawn: Callable[..., Any]
) -> None:
    out, summary = packed
    joined = tmp_path / "joined.rec"
    parts = [(out / "channels" / split / f"{split}.rec").read_bytes() for split in ("validation", "test")]
    joined.write_bytes(b"".join(parts))
    reader = mx.recordio.MXRecordIO(str(joined), "r")
    count = 0
    while reader.read() is not None:
        count += 1
    assert count == summary.validation_images + summary.test_images
