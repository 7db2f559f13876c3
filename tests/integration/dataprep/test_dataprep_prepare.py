"""The Batch job against an S3 in this process."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nestbox.prep_summary import PrepSummary

from dataprep_job import storage
from dataprep_job.__main__ import main
from dataprep_job.errors import OutputError
from dataprep_job.recordio import records, unpack_image
from dataprep_job.s3_client import S3Location
from dataprep_job.storage import FolderStorage, S3Storage, open_storage

Files = dict[str, bytes]
Drawn = Callable[..., Files]
Upload = Callable[[str, Files], None]
Snapshot = Callable[..., list[str]]
Artifact = Callable[[str, str], bytes]

RUN, NEXT = "pets-20261124120000-0a1b", "pets-20261125120000-2c3d"


def keys(s3: Any, run: str) -> set[str]:
    prefix = f"runs/{run}/prep/"
    found = s3.list_objects_v2(Bucket="artifacts", Prefix=prefix).get("Contents", [])
    return {one["Key"].removeprefix(prefix) for one in found}


def held_out(artifact: Artifact, run: str) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in artifact(run, "held_out.jsonl").splitlines()]
    return {line["key"]: line for line in lines}


def test_a_dataset_becomes_training_input(
    s3: Any,
    drawn: Drawn,
    upload: Upload,
    snapshot: Snapshot,
    artifact: Artifact,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upload(
        "pets",
        drawn(40) | {"nestbox.yaml": b"training: {epochs: 7}\ngate: {min_map: 0.4}\nimages: {resize: 64}"},
    )
    assert main(snapshot("pets", RUN)) == 0
    summary = PrepSummary.from_json(artifact(RUN, "summary.json"))
    assert (summary.run, summary.dataset, summary.outcome, summary.reasons) == (RUN, "pets", "READY", [])
    assert (summary.images, summary.usable_images, summary.boxes) == (40, 40, 100)
    assert summary.train_images + summary.validation_images == 40
    assert summary.train_samples == 2 * summary.train_images
    assert summary.validation_images >= 4
    assert summary.classes == ["cat", "dog"]
    assert summary.class_boxes == {"cat": 40, "dog": 60}
    assert summary.label_width == 2 + 5 * 4
    assert summary.config == {"training": {"epochs": 7}, "gate": {"min_map": 0.4}}
    assert summary.image_size == 64
    assert set(summary.seconds) == {"read", "pack", "report"}
    manifest = json.loads(artifact(RUN, "judging.manifest"))
    assert manifest[0] == {"prefix": "s3://artifacts/judging/pets/"}
    assert len(manifest[1:]) == summary.validation_images
    assert keys(s3, RUN) == {
        "judging.manifest",
        *("summary.json", "report.json", "report.html", "classes.json", "held_out.jsonl"),
        *("held_out_absent.jsonl", "annotations.sqlite", "index.sqlite", "trained_before.jsonl"),
        *("channels/train/train.rec", "channels/validation/validation.rec"),
        *("lists/train.lst", "lists/train.idx", "lists/validation.lst", "lists/validation.idx"),
    }
    assert len(held_out(artifact, RUN)) == summary.validation_images
    assert "READY" in capsys.readouterr().out


def test_a_second_attempt_does_nothing(
    s3: Any,
    drawn: Drawn,
    upload: Upload,
    snapshot: Snapshot,
    artifact: Artifact,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upload("pets", drawn(10))
    arguments = snapshot("pets", RUN)
    assert main(arguments) == 0
    before = s3.head_object(Bucket="artifacts", Key=f"runs/{RUN}/prep/report.html")["LastModified"]
    first = artifact(RUN, "summary.json")
    capsys.readouterr()
    assert main(arguments) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert artifact(RUN, "summary.json") == first
    assert s3.head_object(Bucket="artifacts", Key=f"runs/{RUN}/prep/report.html")["LastModified"] == before


def test_two_attempts_write_the_same_bytes(
    s3: Any, drawn: Drawn, upload: Upload, snapshot: Snapshot, artifact: Artifact
) -> None:
    upload("pets", drawn(30))
    names = (
        "channels/train/train.rec",
        "lists/train.lst",
        "lists/train.idx",
        "held_out.jsonl",
        "report.json",
    )
    main(snapshot("pets", RUN))
    first = [artifact(RUN, name) for name in names]
    s3.delete_object(Bucket="artifacts", Key=f"runs/{RUN}/prep/summary.json")
    main(snapshot("pets", RUN))
    assert [artifact(RUN, name) for name in names] == first


def test_the_snapshot_counts_not_what_was_uploaded_since(
    s3: Any, drawn: Drawn, upload: Upload, snapshot: Snapshot, artifact: Artifact
) -> None:
    files = drawn(10)
    upload("pets", files)
    arguments = snapshot("pets", RUN)
    upload("pets", dict.fromkeys(files, b"overwritten") | drawn(5, start=10))
    s3.delete_object(Bucket="uploads", Key="datasets/pets/JPEGImages/p1.jpg")
    assert main(arguments) == 0
    summary = PrepSummary.from_json(artifact(RUN, "summary.json"))
    assert (summary.outcome, summary.images, summary.usable_images) == ("READY", 10, 10)


def test_a_version_that_is_gone_costs_only_its_picture(
    s3: Any, drawn: Drawn, upload: Upload, snapshot: Snapshot, artifact: Artifact
) -> None:
    upload("pets", drawn(20))
    arguments = snapshot("pets", RUN)
    key = "datasets/pets/JPEGImages/p1.jpg"
    version = s3.head_object(Bucket="uploads", Key=key)["VersionId"]
    s3.delete_object(Bucket="uploads", Key=key, VersionId=version)
    assert main(arguments) == 0
    report = json.loads(artifact(RUN, "report.json"))
    assert [(defect["code"], defect["file"]) for defect in report["defects"]] == [
        ("file.gone", "JPEGImages/p1.jpg")
    ]
    assert report["usable_images"] == 19


def test_unusable_data_is_blocked_and_leaves_no_channels(
    s3: Any, drawn: Drawn, upload: Upload, snapshot: Snapshot, artifact: Artifact
) -> None:
    files = drawn(10)
    upload(
        "pets",
        files | {path: b"" for path in list(files) if path.endswith((".1.jpg", "2.jpg", "3.jpg", "4.jpg"))},
    )
    assert main(snapshot("pets", RUN)) == 0
    summary = PrepSummary.from_json(artifact(RUN, "summary.json"))
    assert summary.outcome == "BLOCKED"
    assert summary.reasons[0].startswith("3 of 10 annotated pictures cannot be used")
    assert not any(name.startswith(("channels/", "lists/")) for name in keys(s3, RUN))
    assert not s3.list_multipart_uploads(Bucket="artifacts").get("Uploads")
    assert b"Blocked" in artifact(RUN, "report.html")


def test_the_next_run_keeps_classes_and_held_out_pictures(
    s3: Any, drawn: Drawn, upload: Upload, snapshot: Snapshot, artifact: Artifact
) -> None:
    files = drawn(30)
    upload("pets", files)
    main(snapshot("pets", RUN))
    first = held_out(artifact, RUN)
    renamed = next(iter(first))
    more = {path: data.replace(b"dog", b"ant") for path, data in drawn(30, start=30).items()}
    more["Annotations/renamed.xml"] = files[
        renamed.replace("JPEGImages", "Annotations").replace(".jpg", ".xml")
    ]
    more["JPEGImages/renamed.jpg"] = files[renamed]
    upload("pets", more)
    for gone in (renamed, renamed.replace("JPEGImages", "Annotations").replace(".jpg", ".xml")):
        s3.delete_object(Bucket="uploads", Key=f"datasets/pets/{gone}")
    assert main(snapshot("pets", NEXT, previous=RUN)) == 0
    summary = PrepSummary.from_json(artifact(NEXT, "summary.json"))
    assert summary.classes == ["cat", "dog", "ant"]
    second = held_out(artifact, NEXT)
    assert set(first) - {renamed} < set(second)
    assert "JPEGImages/renamed.jpg" in second
    listed = artifact(NEXT, "lists/train.lst").decode()
    assert not any(f"\t{key}\n" in listed for key in second)


def test_a_previous_preparation_without_its_lists_fails(
    drawn: Drawn, upload: Upload, snapshot: Snapshot, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    upload("pets", drawn(10))
    assert main(snapshot("pets", NEXT, previous=RUN)) == 1
    assert "holds no classes.json" in capsys.readouterr().err


def test_a_missing_snapshot_fails_with_one_line(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", "--run", RUN, "--dataset", "pets", "--source", "s3://uploads/datasets/pets/"]
    arguments += ["--output", "s3://artifacts/x/", "--judging", "s3://artifacts/judging/pets/"]
    code = main([*arguments, "--snapshot", "s3://artifacts/none.gz"])
    assert code == 1
    assert capsys.readouterr().err.startswith("prepare failed: There is no snapshot s3://artifacts/none.gz")


def test_large_results_go_up_in_parts(
    s3: Any,
    drawn: Drawn,
    upload: Upload,
    snapshot: Snapshot,
    artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "PART_BYTES", 5 << 20)
    upload("pets", drawn(10))
    main(snapshot("pets", RUN))
    stream = S3Storage(s3, S3Location("artifacts", "big/")).stream("x.rec", "application/x-recordio")
    record = artifact(RUN, "channels/train/train.rec")
    times = (23 << 20) // len(record)
    for _ in range(times):
        stream.write(record)
    stream.commit()
    head = s3.head_object(Bucket="artifacts", Key="big/x.rec")
    assert head["ETag"].strip('"').endswith("-5")
    assert s3.get_object(Bucket="artifacts", Key="big/x.rec")["Body"].read() == record * times


def test_giving_up_leaves_no_upload_behind(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PART_BYTES", 5 << 20)
    stream = S3Storage(s3, S3Location("artifacts", "big/")).stream("x.rec", "application/x-recordio")
    stream.write(bytes(11 << 20))
    assert s3.list_multipart_uploads(Bucket="artifacts")["Uploads"]
    stream.abort()
    assert not s3.list_multipart_uploads(Bucket="artifacts").get("Uploads")
    assert "Contents" not in s3.list_objects_v2(Bucket="artifacts", Prefix="big/")


def test_a_bucket_that_is_not_there_is_one_clear_error(s3: Any) -> None:
    with pytest.raises(OutputError, match="NoSuchBucket"):
        S3Storage(s3, S3Location("nowhere", "")).put("a", b"", "text/plain")


def test_mirrored_copies_are_only_in_the_train_split(
    drawn: Drawn, upload: Upload, snapshot: Snapshot, s3: Any, artifact: Artifact
) -> None:
    upload("pets", drawn(30))
    main(snapshot("pets", RUN))
    train = [unpack_image(payload) for _, payload in records(artifact(RUN, "channels/train/train.rec"))]
    labels = {record_id: label for record_id, label, _ in train}
    assert len(labels) == len(train)
    for record_id, label in labels.items():
        if record_id % 2:
            original = labels[record_id - 1]
            for at in range(2, len(label), 5):
                assert label[at] == original[at]
                assert label[at + 1] == pytest.approx(1 - original[at + 3], abs=1e-6)
                assert label[at + 3] == pytest.approx(1 - original[at + 1], abs=1e-6)
                assert (label[at + 2], label[at + 4]) == (original[at + 2], original[at + 4])
    validation = records(artifact(RUN, "channels/validation/validation.rec"))
    assert all(unpack_image(payload)[0] % 2 == 0 for _, payload in validation)


def test_without_flip_there_is_one_sample_a_picture(
    drawn: Drawn, upload: Upload, snapshot: Snapshot, s3: Any, artifact: Artifact
) -> None:
    upload("pets", drawn(10) | {"nestbox.yaml": b"images: {flip: false}"})
    main(snapshot("pets", RUN))
    summary = PrepSummary.from_json(artifact(RUN, "summary.json"))
    assert summary.train_samples == summary.train_images


@pytest.mark.parametrize("place", ["s3", "folder", "durable folder", "folder to s3", "s3 to folder"])
def test_streams_join_stretches_with_patches_and_new_bytes(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Pieces, windows and parts are so small that every stretch crosses several."""
    for name, size in {
        "PART_BYTES": 8192,
        "MIN_PART_BYTES": 2048,
        "_PIECE_BYTES": 1024,
        "_SMALL_COPY": 700,
        "_BATCH_BYTES": 3000,
        "_SYNC_BYTES": 5000,
    }.items():
        monkeypatch.setattr(storage, name, size)
    monkeypatch.setattr("moto.settings.S3_UPLOAD_PART_MIN_SIZE", 1, raising=False)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1, raising=False)
    far = S3Storage(s3, S3Location("artifacts", "joined/"))
    near = FolderStorage(tmp_path, durable=place == "durable folder")
    source, target = {"s3": (far, far), "folder to s3": (near, far), "s3 to folder": (far, near)}.get(
        place, (near, near)
    )
    chance = random.Random(4)
    data = chance.randbytes(40_000)
    source.put("old.rec", data, "application/x-recordio")
    stream, expected = target.stream("new.rec", "application/x-recordio"), bytearray()
    at = 0
    while at < len(data):
        stop = min(len(data), at + chance.choice((50, 900, 3000, 7000)))
        changed = bytearray(data[at:stop])
        patches = []
        for start in range(at + 5, stop - 40, 170) if chance.random() < 0.5 else ():
            patches.append(storage.Patch(start, chance.randbytes(30)))
            changed[start - at : start - at + 30] = patches[-1].data
        stream.copy(source, "old.rec", at, stop, patches)
        expected += changed
        if chance.random() < 0.6:
            new = chance.randbytes(chance.choice((10, 1500)))
            stream.write(new)
            expected += new
        at = stop + chance.choice((0, 0, 300))
    stream.commit()
    assert target.read("new.rec") == expected


@pytest.mark.parametrize("place", ["s3", "folder"])
def test_a_storage_names_its_files_and_its_place(s3: Any, tmp_path: Path, place: str) -> None:
    store = open_storage("s3://artifacts/runs/1" if place == "s3" else str(tmp_path), s3)
    for name in ("a.jpg", "deep/b.jpg", "deep/er/c.jpg"):
        store.put(name, name.encode(), "image/jpeg")
    begun = store.stream("unfinished.jpg", "image/jpeg")
    begun.write(b"half")
    assert set(store.names()) == {"a.jpg", "deep/b.jpg", "deep/er/c.jpg"}
    assert set(store.below("deep").names()) == {"b.jpg", "er/c.jpg"}
    assert list(store.below("none").names()) == []
    assert store.below("deep").prefix == (
        "s3://artifacts/runs/1/deep/" if place == "s3" else f"{tmp_path}/deep/"
    )
    assert open_storage(store.below("deep").prefix, s3).read("b.jpg") == b"deep/b.jpg"
    begun.abort()
