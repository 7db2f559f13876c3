"""Worker processes answer in order, tell what went wrong, and leave with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector.errors import LabelError, ShortageError
from detector.worker_processes import WorkerProcesses, shared_array

PARENT = """
import os, signal
from detector.worker_processes import WorkerProcesses
workers = WorkerProcesses(lambda _: os.getpid(), 2)
print(*workers.map([0, 1]), flush=True)
HOW
"""


def until_gone(processes: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        os.sched_yield()
    return False


@pytest.mark.parametrize("tasks", [0, 1, 3, 10])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_answers_come_in_the_order_of_the_tasks(tasks: int, processes: int) -> None:
    with WorkerProcesses[int, int](lambda task: task * task, processes) as workers:
        for _ in range(2):
            assert workers.map(range(tasks)) == [task * task for task in range(tasks)]


def test_what_they_write_into_shared_arrays_is_seen() -> None:
    shared = shared_array((3, 2), "float32")

    def write(row: int) -> int:
        shared[row] = row + 1
        return os.getpid()

    with WorkerProcesses[int, int](write, 2) as workers:
        assert os.getpid() not in workers.map(range(3))
    assert shared.tolist() == [[1, 1], [2, 2], [3, 3]]


def test_what_a_task_raises_is_raised_here_and_the_others_answer_on() -> None:
    def work(task: int) -> int:
        if task == 1:
            raise LabelError(["record 1: no", "record 7: no"])
        return task

    with WorkerProcesses[int, int](work, 2) as workers:
        with pytest.raises(LabelError, match=r"record 1: no; record 7: no") as caught:
            workers.map(range(4))
        assert caught.value.problems == ("record 1: no", "record 7: no")
        assert workers.map([2, 3, 4]) == [2, 3, 4]


def test_a_killed_process_is_a_shortage() -> None:
    killed = WorkerProcesses[int, None](lambda number: os.kill(os.getpid(), number), 2)
    with killed, pytest.raises(ShortageError, match="was killed, most likely because the machine has no"):
        killed.map([signal.SIGKILL, 0])
    ended = WorkerProcesses[int, None](lambda code: os._exit(code), 1)
    with ended, pytest.raises(RuntimeError, match=r"ended \(exit codes \[3\]\)"):
        ended.map([3])


def test_a_signal_to_stop_leaves_them_at_work() -> None:
    with WorkerProcesses[int, int](lambda _: os.getpid(), 1) as workers:
        process = workers.map([0])[0]
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process, number)
        assert workers.map([0]) == [process]
    assert until_gone([process])


@pytest.mark.parametrize(
    "how", ["pass", "raise RuntimeError", "os.kill(os.getpid(), signal.SIGKILL)", "signal.pause()"]
)
def test_they_end_with_their_parent_however_it_ends(how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("HOW", how)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        processes = [int(word) for word in parent.stdout.readline().split()]
        assert len(processes) == 2
        if "pause" in how:
            parent.terminate()
        parent.wait(20)
    assert until_gone(processes)
