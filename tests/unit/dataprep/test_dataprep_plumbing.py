"""Work in order with bounded memory; storage on disk; addresses; what may be a path."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.__main__ import main
from dataprep_job.errors import LocationError, OutputError, SourceError
from dataprep_job.file_source import FolderSource, is_hidden, why_unsafe
from dataprep_job.ordered_map import ordered_map
from dataprep_job.s3_client import S3Location
from dataprep_job.storage import FolderStorage, open_storage


@given(st.lists(st.integers(0, 100), max_size=60), st.integers(1, 4), st.integers(1, 150))
def test_results_come_in_order_whatever_the_budget(things: list[int], threads: int, budget: int) -> None:
    results = ordered_map(lambda thing: thing * 2, things, threads, weight=lambda thing: thing, budget=budget)
    assert list(results) == [2 * thing for thing in things]


def test_no_more_than_the_budget_is_taken_in_ahead() -> None:
    taken: list[int] = []

    def things() -> object:
        for number in range(100):
            taken.append(number)
            yield number

    results = ordered_map(lambda thing: thing, things(), 2, weight=lambda _: 10, budget=50)  # type: ignore[arg-type]
    next(results)
    assert len(taken) <= 7


def test_work_really_overlaps() -> None:
    barrier = threading.Barrier(3, timeout=20)
    assert list(ordered_map(lambda thing: barrier.wait() >= 0 and thing, [1, 2, 3], 3)) == [1, 2, 3]


def test_an_error_comes_in_its_place() -> None:
    results = ordered_map(lambda thing: 1 // thing, [1, 1, 0, 1], 2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_stream_on_disk_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "out")
    stream = storage.stream("a/b.rec", "x/y")
    stream.write(b"one")
    assert storage.read("a/b.rec") is None
    stream.write(b"two")
    stream.commit()
    stream.abort()
    assert storage.read("a/b.rec") == b"onetwo"
    given_up = storage.stream("a/c.rec", "x/y")
    given_up.write(b"one")
    given_up.abort()
    assert [path.name for path in (tmp_path / "out" / "a").iterdir()] == ["b.rec"]


def test_the_first_summary_on_disk_stands(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    assert storage.put_if_absent("summary.json", b"first", "x/y")
    assert not storage.put_if_absent("summary.json", b"second", "x/y")
    assert storage.read("summary.json") == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        FolderStorage(tmp_path / "file").put("a", b"", "x/y")


def test_addresses() -> None:
    assert S3Location.parse("s3://bucket/a/b/").child("c") == S3Location("bucket", "a/b/c")
    assert S3Location.parse("s3://bucket").child("c") == S3Location("bucket", "c")
    assert str(S3Location("bucket", "a")) == "s3://bucket/a"
    for wrong in ("bucket/a", "http://bucket/a", "s3:///a", ""):
        with pytest.raises(LocationError):
            S3Location.parse(wrong)
    with pytest.raises(LocationError):
        open_storage("gs://bucket/a")


@pytest.mark.parametrize("path", ["/a", "a//b", "../a", "a/../b", "a/.", "a\\b", "a\nb", "a\0", ""])
def test_unsafe_paths(path: str) -> None:
    assert why_unsafe(path)


@pytest.mark.parametrize("path", ["a", "a b/c.jpg", "ä/ß.jpg", "a..b/c...jpg"])
def test_safe_paths(path: str) -> None:
    assert why_unsafe(path) is None


def test_what_systems_leave_behind_is_hidden() -> None:
    assert all(map(is_hidden, [".DS_Store", "a/.git/x", "__MACOSX/a.jpg", "a/Thumbs.db", "_READY"]))
    assert not is_hidden("a/b.jpg")


def test_a_folder_that_is_none_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="is no folder"):
        FolderSource(tmp_path / "none")
    arguments = ["prepare", "--run", "r", "--dataset", "d", "--judging", str(tmp_path / "judging")]
    arguments += ["--output", str(tmp_path / "out"), "--source"]
    assert main([*arguments, str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("prepare failed: ")
    assert main([*arguments, "s3://bucket/x/"]) == 1
    assert "--snapshot" in capsys.readouterr().err
