"""Zip archives in S3: read in place, with few requests, in exactly the version of the snapshot."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from nestbox.prep_summary import PrepSummary

from dataprep_job import zip_member
from dataprep_job.__main__ import main
from dataprep_job.archive_source import open_archives
from dataprep_job.errors import FileGoneError
from dataprep_job.file_source import FileSource, read_many
from dataprep_job.s3_client import S3Location
from dataprep_job.snapshot_source import SnapshotSource

Files = dict[str, bytes]
Upload = Callable[[str, Mapping[str, bytes]], None]
Take = Callable[[], SnapshotSource]

COUNT = 300


def packed(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def asked(s3: Any) -> list[tuple[str, str]]:
    """Key and range of every object that is fetched."""
    found: list[tuple[str, str]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        found.append((params["Key"], params.get("Range", "")))

    s3.meta.events.register("provide-client-params.s3.GetObject", note)
    return found


@pytest.fixture
def taken(s3: Any, snapshot: Callable[[str, str], list[str]], asked: list[tuple[str, str]]) -> Take:
    """The dataset `pets` as it is now; what was fetched to get there does not count."""

    def take() -> SnapshotSource:
        snapshot("pets", "run")
        lines = s3.get_object(Bucket="artifacts", Key="runs/run/snapshot.jsonl.gz")["Body"].read()
        asked.clear()
        return SnapshotSource(s3, S3Location("uploads", "datasets/pets/"), lines)

    return take


@pytest.fixture
def photos() -> Files:
    """Files that do not shrink, some 6 MB in all."""
    return {f"images/{number:03}.jpg": random.Random(number).randbytes(20_000) for number in range(COUNT)}


def read_all(source: FileSource) -> Files:
    found: Files = {}
    for file, data in read_many(source, source.files()):
        assert isinstance(data, bytes)
        found[file.path] = data
    return found


def test_a_dataset_in_an_archive_becomes_training_input(
    s3: Any,
    drawn: Callable[..., Files],
    upload: Upload,
    snapshot: Callable[..., list[str]],
    artifact: Callable[[str, str], bytes],
) -> None:
    files = drawn(20)
    pictures = {path: data for path, data in files.items() if path.endswith(".jpg")}
    labels = {path: data for path, data in files.items() if path not in pictures}
    upload("pets", {"pictures.zip": packed(pictures), "labels.zip": packed(labels)})
    run = "pets-20261124120000-0a1b"
    assert main(snapshot("pets", run)) == 0
    summary = PrepSummary.from_json(artifact(run, "summary.json"))
    assert (summary.outcome, summary.images, summary.usable_images) == ("READY", 20, 20)


def test_members_in_order_take_few_requests(
    upload: Upload, taken: Take, asked: list[tuple[str, str]], photos: Files
) -> None:
    upload("pets", {"batch.zip": packed(photos), "notes.txt": b"n"})
    source = open_archives(taken())
    assert len(asked) == 1, "the list of contents lies within the end that is read first"
    found = read_all(source)
    assert found == {f"batch.zip/{name}": data for name, data in photos.items()} | {"notes.txt": b"n"}
    assert len(asked) < COUNT / 6, "24 threads do not quite keep the order"
    asked.clear()
    again = open_archives(taken())
    assert {file.path: again.read(file) for file in again.files()} == found
    assert len(asked) < 10
    assert all(wanted for key, wanted in asked if key.endswith(".zip")), "no archive is fetched whole"


def test_members_in_no_order_are_fetched_exactly(
    upload: Upload, taken: Take, asked: list[tuple[str, str]], photos: Files
) -> None:
    upload("pets", {"batch.zip": packed(photos)})
    source = open_archives(taken())
    for file in list(source.files())[250::-25]:
        assert source.read(file) == photos[file.path.removeprefix("batch.zip/")]
    spans = [span.removeprefix("bytes=").split("-") for _, span in asked[1:]]
    assert len(spans) == 11
    assert all(int(last) - int(first) < 20_300 for first, last in spans)


def test_the_version_of_the_snapshot_is_read(s3: Any, upload: Upload, taken: Take) -> None:
    upload("pets", {"a.zip": packed({"x.txt": b"old"})})
    snapshot = taken()
    upload("pets", {"a.zip": packed({"x.txt": b"new", "y.txt": b"new"})})
    s3.delete_object(Bucket="uploads", Key="datasets/pets/a.zip")
    assert read_all(open_archives(snapshot)) == {"a.zip/x.txt": b"old"}


def test_an_archive_that_is_gone_costs_only_its_own_files(s3: Any, upload: Upload, taken: Take) -> None:
    upload("pets", {"a.zip": packed({"x.txt": b"x"}), "b.zip": packed({"y.txt": b"y"})})
    snapshot = taken()
    (gone, _) = snapshot.files()
    s3.delete_object(Bucket="uploads", Key="datasets/pets/a.zip", VersionId=gone.version)
    source = open_archives(snapshot)
    assert [(one.code, one.place.file) for one in source.refused()] == [("file.gone", "a.zip")]
    assert read_all(source) == {"b.zip/y.txt": b"y"}


def test_streams(
    upload: Upload, taken: Take, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_member, "_WHOLE_BYTES", 1)
    data = random.Random(0).randbytes(9 << 20)
    upload("pets", {"plain.json": data, "a.zip": packed({"b.json": data, "c.txt": b""})})
    source = open_archives(taken())
    files = {file.path: file for file in source.files()}
    for path in ("plain.json", "a.zip/b.json"):
        asked.clear()
        with source.open(files[path]) as stream:
            assert b"".join(iter(lambda: stream.read(50_000), b"")) == data
        assert len(asked) < 10
    assert source.open(files["a.zip/c.txt"]).read() == b""


def test_a_stream_that_is_gone_is_noticed_when_it_is_opened(s3: Any, upload: Upload, taken: Take) -> None:
    upload("pets", {"a.json": b"1", "empty.json": b""})
    snapshot = taken()
    file, empty = snapshot.files()
    s3.delete_object(Bucket="uploads", Key="datasets/pets/a.json", VersionId=file.version)
    with pytest.raises(FileGoneError):
        snapshot.open(file)
    assert snapshot.open(empty).read() == b""
