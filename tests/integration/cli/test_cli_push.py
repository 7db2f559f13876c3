"""`nestbox push` against S3: only what changed, the marker last, nothing deleted unasked."""

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from cli import push
from cli.drawing.cub import write_dataset
from cli.main import main


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "birds"
    write_dataset(folder, 5, seed=1)
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "birds"
    for file in drawn.rglob("*"):
        if file.is_file():
            target = copy / file.relative_to(drawn)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def objects(stack) -> Callable[[], dict[str, str]]:
    """Asks what is in the uploads bucket: key to ETag."""

    def listed() -> dict[str, str]:
        found = boto3.client("s3").list_objects_v2(Bucket=stack.uploads_bucket).get("Contents", [])
        return {item["Key"]: item["ETag"] for item in found}

    return listed


def pushed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["push", *arguments, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_uploads_everything_once_and_then_only_what_changed(
    folder: Path, objects: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    first = pushed(capsys, str(folder), "birds")
    assert first["uploaded"] == 10
    assert first["unchanged"] == 0
    assert set(objects()) == {
        f"datasets/birds/{file.relative_to(folder).as_posix()}"
        for file in folder.rglob("*")
        if file.is_file()
    }

    again = pushed(capsys, str(folder), "birds")
    assert (again["uploaded"], again["unchanged"], again["bytes"]) == (0, 10, 0)

    boxes = folder / "bounding_boxes.txt"
    before = objects()
    text = boxes.read_text()
    boxes.write_text(text[:-4] + "8.5\n")  # the same size, another content
    assert boxes.read_text() != text
    changed = pushed(capsys, str(folder), "birds")
    assert (changed["uploaded"], changed["unchanged"]) == (1, 9)
    after = objects()
    assert {key for key in after if after[key] != before[key]} == {"datasets/birds/bounding_boxes.txt"}


def test_what_is_gone_here_stays_there_unless_delete_is_given(
    folder: Path, objects: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(capsys, str(folder), "birds")
    image = next((folder / "images").rglob("*.jpg"))
    key = f"datasets/birds/{image.relative_to(folder).as_posix()}"
    image.unlink()
    kept = pushed(capsys, str(folder), "birds", "--no-check")
    assert (kept["deleted"], kept["kept"]) == (0, 1)
    assert key in objects()
    deleted = pushed(capsys, str(folder), "birds", "--no-check", "--delete")
    assert (deleted["deleted"], deleted["kept"]) == (1, 0)
    assert key not in objects()


def test_ready_writes_the_marker_and_the_marker_is_no_data(
    folder: Path, objects: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(capsys, str(folder), "birds", "--ready")
    assert "datasets/birds/_READY" in objects()
    again = pushed(capsys, str(folder), "birds", "--delete", "--no-check")
    assert again["deleted"] == 0
    assert "datasets/birds/_READY" in objects()


def test_the_marker_is_written_after_everything_else(
    folder: Path, stack, objects, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []
    original = push._upload

    def noting(s3, bucket, prefix, files, jobs, advance) -> None:
        original(s3, bucket, prefix, files, jobs, advance)
        order.extend(file.key for file in files)
        assert "datasets/birds/_READY" not in objects()

    monkeypatch.setattr(push, "_upload", noting)
    pushed(capsys, str(folder), "birds", "--ready", "--no-check")
    assert len(order) == 10
    assert all(key.endswith(".txt") for key in order[-5:])


def test_dry_run_uploads_nothing(
    folder: Path, objects: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    told = pushed(capsys, str(folder), "birds", "--dry-run")
    assert len(told["upload"]) == 10
    assert objects() == {}


def test_a_folder_nothing_can_be_trained_from_is_not_uploaded(
    tmp_path: Path, objects: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no images here")
    assert main(["push", str(tmp_path), "birds"]) == 2
    assert "nestbox check" in capsys.readouterr().err
    assert objects() == {}


def test_large_files_are_recognised_by_the_etag_of_their_parts(
    tmp_path: Path, objects, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part = 5 * 1024 * 1024
    monkeypatch.setattr(push, "PART_BYTES", part)
    (tmp_path / "large.jpg").write_bytes(bytes(range(256)) * (2 * part // 256) + b"end")
    first = pushed(capsys, str(tmp_path), "birds", "--no-check")
    assert first["uploaded"] == 1
    assert objects()["datasets/birds/large.jpg"].strip('"').endswith("-3")
    again = pushed(capsys, str(tmp_path), "birds", "--no-check")
    assert (again["uploaded"], again["unchanged"]) == (0, 1)


def test_a_failed_upload_says_how_to_go_on(
    folder: Path, stack, objects, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3.client("s3").delete_bucket(Bucket=stack.uploads_bucket)
    monkeypatch.setattr(push, "list_objects", lambda *_: {})
    assert main(["push", str(folder), "birds", "--no-check"]) == 1
    assert "Push again" in capsys.readouterr().err
