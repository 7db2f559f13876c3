"""Work spread over processes that share this one's memory.

Threads would mostly wait for each other: a view of an image is a dozen short calls, between which Python lets
one thread run at a time.
"""

import atexit
import contextlib
import mmap
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from detector.errors import ShortageError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_SECONDS_TO_END = 5.0


def shared_array(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of zeros which processes forked from this one write into as well."""
    count = int(np.prod(shape))
    memory = mmap.mmap(-1, max(1, count * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count).reshape(shape)


def shares(tasks: Sequence[Task], count: int) -> list[Sequence[Task]]:
    """Return so many stretches of a list, in order and as long as each other to within one."""
    bounds = [len(tasks) * number // count for number in range(count + 1)]
    return [tasks[start:end] for start, end in pairwise(bounds)]


class WorkerProcesses(Generic[Task, Answer]):
    """Forks of this process, each doing its share of a list of tasks.

    They see everything as it was when they were made; what they change nobody sees, `shared_array` apart.
    They end with `close`, or when this process is no more.
    """

    def __init__(self, work: Callable[[Task], Answer], count: int) -> None:
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(count)]
        self._connections = [ours for ours, _ in pipes]
        self._processes = [
            context.Process(
                target=_serve,
                # A fork holds the ends of all pipes; kept open, they would hide that another process is gone.
                args=(work, theirs, [end for pipe in pipes for end in pipe if end is not theirs]),
                daemon=True,
            )
            for _, theirs in pipes
        ]
        with warnings.catch_warnings():
            # Python warns of forks beside threads, as one may hold a lock that the fork then waits for. These
            # take none but their own: they compute, with NumPy and OpenCV on one thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            for process in self._processes:
                process.start()
        for _, theirs in pipes:
            theirs.close()
        # Whatever ends this process: multiprocessing would ask them to stop by a signal, and wait.
        atexit.register(self.close)

    def map(self, tasks: Sequence[Task]) -> list[Answer]:
        """Return the work's answers in the order of the tasks, all of them done.

        Raises what the work raises first, and ShortageError when a process was killed.
        """
        try:
            for connection, share in zip(
                self._connections, shares(tasks, len(self._connections)), strict=True
            ):
                connection.send(share)
            outcomes = [connection.recv() for connection in self._connections]
        except (EOFError, ConnectionError) as error:
            raise self._lost() from error
        answers: list[Answer] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            answers += outcome
        return answers

    def _lost(self) -> Exception:
        for process in self._processes:
            process.join(_SECONDS_TO_END / len(self._processes))
        codes = [process.exitcode for process in self._processes if process.exitcode is not None]
        if -signal.SIGKILL in codes:
            return ShortageError(
                "a process of the training was killed, most likely because the machine has no "
                "memory left; lower mini_batch_size or image_shape, or take a larger one"
            )
        return RuntimeError(f"a process of the training ended (exit codes {codes})")

    def close(self) -> None:
        """End the processes."""
        atexit.unregister(self.close)
        for connection in self._connections:
            # Closing tells them too, unless another fork of this process holds the same end.
            with contextlib.suppress(OSError):
                connection.send(None)
            connection.close()
        for process in self._processes:
            process.join(_SECONDS_TO_END)
            if process.is_alive():
                process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(work: Callable[[Task], Answer], connection: Connection, of_others: Iterable[Connection]) -> None:
    """Answer until nobody is there to ask. Signals to stop are for the parent, which ends us by itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    for other in of_others:
        other.close()
    with contextlib.suppress(EOFError, ConnectionError):
        while (tasks := connection.recv()) is not None:
            outcome: list[Answer] | Exception
            try:
                outcome = [work(task) for task in tasks]
            except Exception as error:  # noqa: BLE001 - raised again where the tasks come from
                outcome = error
            connection.send(outcome)
