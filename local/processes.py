"""Job and endpoint processes: output line by line, SIGTERM with a grace period, SIGKILL, exit status."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_LEASH = Path(__file__).with_name("leash.py")
_OUTPUT_AFTER_EXIT_SECONDS = 5.0


class ContainerProcess:
    """One running command. `on_line` gets each line of its output (both streams) on a thread of its own."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        on_line: Callable[[str], None],
    ) -> None:
        self._on_line = on_line
        self._timers: list[threading.Timer] = []
        self._orders = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_LEASH), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True, name="local-output")
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of the process that holds the command: it ends with that one."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._process.poll() is None

    def stop(self, grace_seconds: float) -> None:
        """Sends SIGTERM now and SIGKILL after the grace period; returns at once."""
        self._order(b"T")
        timer = threading.Timer(grace_seconds, self.kill)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def kill(self) -> None:
        """Kills the command and everything it started."""
        self._order(b"K")

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status once the command has ended and its output is read; None when it still runs."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        # A daemon that left the process group may hold the pipe open: do not wait for it for ever.
        self._reader.join(_OUTPUT_AFTER_EXIT_SECONDS)
        for timer in self._timers:
            timer.cancel()
        with contextlib.suppress(OSError):
            self._stdin.close()
        # Negative where the leash itself was killed.
        return status if status >= 0 else 128 - status

    @property
    def _stdin(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise AssertionError("started with a pipe")
        return self._process.stdin

    def _order(self, order: bytes) -> None:
        # The leash is gone when the command is: nothing is left to tell.
        with self._orders, contextlib.suppress(OSError, ValueError):
            self._stdin.write(order)
            self._stdin.flush()

    def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            raise AssertionError("started with a pipe")
        with output:
            for line in output:
                self._on_line(line.decode("utf-8", errors="replace").rstrip("\r\n"))


class Processes:
    """Every process the server started, so that it can end with all of them."""

    def __init__(self) -> None:
        self._running: set[ContainerProcess] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        on_line: Callable[[str], None],
    ) -> ContainerProcess:
        """Starts a command in `directory` with exactly this environment."""
        process = ContainerProcess(command, environment, directory, on_line)
        with self._lock:
            self._running = {other for other in self._running if other.running}
            self._running.add(process)
            closed = self._closed
        if closed:
            process.kill()
        return process

    def kill_all(self) -> None:
        """Kills every process, and any that is still being started; waits until they are gone."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.kill()
        for process in running:
            process.wait(10)
