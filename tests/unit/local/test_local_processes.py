"""Processes on a leash: output, exit status, SIGTERM, SIGKILL, and an end with whoever holds the leash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local import leash
from local.processes import ContainerProcess, Processes

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def start(program: str, tmp_path: Path) -> tuple[ContainerProcess, list[str]]:
    lines: list[str] = []
    process = ContainerProcess([sys.executable, "-c", program], {"PATH": ""}, tmp_path, lines.append)
    return process, lines


def wait_for_any_line(lines: list[str]) -> None:
    deadline = time.monotonic() + 20
    while not lines:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_line(lines: list[str], line: str) -> None:
    deadline = time.monotonic() + 20
    while line not in lines:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_both_streams_line_by_line_and_the_status(tmp_path: Path) -> None:
    program = "import os, sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr); sys.exit(7)"
    process, lines = start(program, tmp_path)
    assert process.wait() == 7
    assert lines == ["out", "err"]


def test_the_environment_is_exactly_the_one_given(tmp_path: Path) -> None:
    process, lines = start("import os; print(sorted(os.environ.items()))", tmp_path)
    process.wait()
    assert "'PATH', ''" in lines[0]
    assert "HOME" not in lines[0]


def test_sigterm_reaches_the_command(tmp_path: Path) -> None:
    process, lines = start("import time; print('up', flush=True); time.sleep(60)", tmp_path)
    wait_for_line(lines, "up")
    process.stop(30)
    assert process.wait(20) == 128 + 15


def test_sigkill_follows_when_sigterm_is_ignored(tmp_path: Path) -> None:
    process, lines = start(STUBBORN, tmp_path)
    wait_for_line(lines, "up")
    process.stop(0.1)
    assert process.wait(20) == 128 + 9


def test_a_killed_leash_is_a_killed_command(tmp_path: Path) -> None:
    process, lines = start("import os, time; print(os.getpid(), flush=True); time.sleep(60)", tmp_path)
    wait_for_any_line(lines)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(20) == 128 + signal.SIGKILL
    command = Path(f"/proc/{lines[0]}/stat")
    deadline = time.monotonic() + 20
    while command.exists() and ") Z " not in command.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_wait_can_be_given_up(tmp_path: Path) -> None:
    process, _ = start(STUBBORN, tmp_path)
    assert process.wait(0.05) is None
    process.kill()
    assert process.wait(20) == 128 + 9


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    lines: list[str] = []
    process = ContainerProcess(["/nothing/here"], {}, tmp_path, lines.append)
    assert process.wait() == 127
    assert lines == ["exec /nothing/here: No such file or directory"]


def test_what_the_command_started_ends_with_it(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)"
    )
    process, lines = start(program, tmp_path)
    assert process.wait(20) == 0
    assert gone(int(lines[0]))


def test_everything_ends_when_the_leash_is_let_go(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", leash.__file__, sys.executable, "-c", STUBBORN]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    holder.stdin.close()
    assert holder.wait(20) == 128 + 9
    holder.stdout.close()


def test_kill_all_takes_every_process(tmp_path: Path) -> None:
    processes = Processes()
    lines: list[str] = []
    started = [
        processes.start([sys.executable, "-c", STUBBORN], {}, tmp_path, lines.append) for _ in range(2)
    ]
    processes.kill_all()
    assert all(not process.running for process in started)
    late = processes.start([sys.executable, "-c", STUBBORN], {}, tmp_path, lines.append)
    assert late.wait(20) == 128 + 9


def gone(pid: int) -> bool:
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False
