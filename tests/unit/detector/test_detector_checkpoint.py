"""Checkpoints: whole or not there, whatever happens to the process and the disk."""

import io
import multiprocessing
import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from detector import checkpoint
from detector.checkpoint import Checkpoint, CheckpointFolder
from detector.errors import ShortageError
from detector.metrics_log import MetricsLog

FILE = "detector-checkpoint.npz"


def make(epoch: int, values: int = 1000) -> Checkpoint:
    weights = {"stem_weight": np.full(values, epoch, np.float32)}
    return Checkpoint({"epoch": epoch}, weights, weights, weights, b"state" * epoch)


def found(folder: Path, key: str = "job") -> tuple[Checkpoint | None, str]:
    stream = io.StringIO()
    return CheckpointFolder(folder, key, MetricsLog(stream=stream)).read(), stream.getvalue()


def test_what_is_written_is_read_and_replaces_what_was_there(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "job")
    for epoch in (1, 2):
        folder.write(make(epoch))
    read, log = found(tmp_path)
    assert read is not None
    assert (read.state, read.optimizer, log) == ({"epoch": 2}, b"state" * 2, "")
    np.testing.assert_array_equal(read.best["stem_weight"], make(2).best["stem_weight"])
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_without_a_folder_nothing_is_kept() -> None:
    folder = CheckpointFolder(None, "job")
    folder.write(make(1))
    assert folder.read() is None
    assert not folder.is_due(last=True)


@pytest.mark.parametrize("content", [b"", b"cut off", "whole but of another job"])
def test_a_checkpoint_of_no_use_is_told_and_left(tmp_path: Path, content: bytes | str) -> None:
    if isinstance(content, bytes):
        (tmp_path / FILE).write_bytes(content)
    else:
        CheckpointFolder(tmp_path, content).write(make(1))
    read, log = found(tmp_path)
    assert read is None
    assert "so training starts anew" in log


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "job").write(make(1, 20))
    whole = (tmp_path / FILE).read_bytes()
    for cut in range(0, len(whole), 97):
        (tmp_path / FILE).write_bytes(whole[:cut])
        assert found(tmp_path)[0] is None


# NumPy leaves its half-written archive to the garbage collector, which cannot close it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_takes_no_more_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "job")
    folder.write(make(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(
            ShortageError, match=r"0 MB cannot be written \(.+\); give the job a larger volume"
        ):
            folder.write(make(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    read, _ = found(tmp_path)
    assert read is not None
    assert read.state == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def write_for_ever(folder: Path) -> None:
    checkpoints = CheckpointFolder(folder, "job")
    epoch = 0
    while True:
        epoch += 1
        checkpoints.write(make(epoch, 200_000))


def test_a_kill_at_any_moment_leaves_a_whole_one(tmp_path: Path) -> None:
    moments = random.Random(0)
    fork = multiprocessing.get_context("fork")
    CheckpointFolder(tmp_path, "job").write(make(0))
    for _ in range(12):
        writer = fork.Process(target=write_for_ever, args=(tmp_path,))
        writer.start()
        time.sleep(moments.uniform(0, 0.05))  # the moment, not a wait for something
        writer.kill()
        writer.join()
        assert len(list(tmp_path.iterdir())) <= 2
        read, log = found(tmp_path)
        assert read is not None, log
        assert (read.trained["stem_weight"] == read.state["epoch"]).all()
        assert [path.name for path in tmp_path.iterdir()] == [FILE], "what was being written is removed"


def test_writing_takes_a_twentieth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 10.0, 10.5, 20.4, 20.6])
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(now))
    folder = CheckpointFolder(tmp_path, "job")
    folder.write(make(1))
    assert folder.is_due(last=True)
    assert [folder.is_due(last=False), folder.is_due(last=False)] == [False, True]
