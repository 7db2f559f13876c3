"""Starts, stops and looks at a server in the background."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from local.endpoint import ROOT
from local.errors import ServerError
from local.server import KEPT_DIRECTORIES, REGION, STORE_FILE, check_port

# A machine that is busy with other things needs a minute to import everything.
_START_SECONDS = 180.0
_STOP_SECONDS = 20.0
_LOG_LINES = 15


@dataclass(frozen=True)
class Connection:
    """How to reach a server: the contents of `connection.json`."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    pid: int

    @classmethod
    def read(cls, state: Path) -> Connection | None:
        """The connection a server left in its state directory; None when there is none."""
        try:
            return cls(**json.loads(connection_file(state).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError) as error:
            raise ServerError(
                f"{connection_file(state)} is damaged ({error}): remove it, and run `python -m local up`"
            ) from error

    @property
    def alive(self) -> bool:
        """Whether that process is there and answers as this server."""
        return _is_server(self.pid) and healthy(self.endpoint_url)


def connection_file(state: Path) -> Path:
    """Where a server writes how to reach it."""
    return state / "connection.json"


def write_connection(port: int, state: Path, pid: int) -> Connection:
    """Writes `connection.json`, readable by its owner only."""
    connection = Connection(
        endpoint_url=f"http://127.0.0.1:{port}",
        region=REGION,
        access_key_id=ROOT.access_key_id,
        secret_access_key=ROOT.secret_access_key,
        pid=pid,
    )
    file = connection_file(state)
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(asdict(connection), indent=1) + "\n", encoding="utf-8")
    partial.chmod(0o600)
    partial.replace(file)
    return connection


def up(port: int, state: Path, images_file: Path, *, fresh: bool = False) -> Connection:
    """Starts a server and waits until it is healthy; one that already runs on the port is left as it is.

    It goes on where the last one of the state directory ended; `fresh` stops that one and forgets what it
    kept. Raises ServerError when it does not come up, with the end of its log.
    """
    if fresh:
        down(state)
        forget(state)
    known = Connection.read(state)
    if known is not None and known.alive:
        if known.endpoint_url == f"http://127.0.0.1:{port}":
            return known
        raise ServerError(f"a server runs already, at {known.endpoint_url}: `python -m local down` stops it")
    if known is not None and _is_server(known.pid):
        down(state)
    connection_file(state).unlink(missing_ok=True)
    check_port(port)
    state.mkdir(parents=True, exist_ok=True)
    log_file = state / "server.log"
    command = [sys.executable, "-m", "local", "serve", "--port", str(port), "--state", str(state)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [*command, "--images", str(images_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if healthy(f"http://127.0.0.1:{port}"):
            return write_connection(port, state, process.pid)
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    raise ServerError(f"the server did not come up; the end of {log_file}:\n" + "\n".join(lines))


def down(state: Path) -> bool:
    """Stops the server of a state directory and everything it runs; False when none runs."""
    known = Connection.read(state)
    if known is None:
        return False
    running = _is_server(known.pid)
    if running:
        os.kill(known.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while _is_server(known.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _is_server(known.pid):
            # Its jobs hang on a pipe to it, and end with it.
            os.kill(known.pid, signal.SIGKILL)
    connection_file(state).unlink(missing_ok=True)
    return running


def forget(state: Path) -> None:
    """Removes what the servers of a state directory kept."""
    for directory in KEPT_DIRECTORIES:
        shutil.rmtree(state / directory, ignore_errors=True)
    for file in state.glob(f"{STORE_FILE}*"):
        file.unlink()


def healthy(endpoint_url: str) -> bool:
    """Whether MiniStack with our plug-in answers there."""
    try:
        with urllib.request.urlopen(f"{endpoint_url}/_ministack/health", timeout=2) as response:  # noqa: S310
            return "sagemaker" in json.load(response).get("services", {})
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _is_server(pid: int) -> bool:
    """Whether the process is one of ours: a number may have been given to another process since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return " local serve " in _command_line(pid)


def _command_line(pid: int) -> str:
    """The process's arguments; empty for a process that has ended."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = ["ps", "-o", "args=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, text=True, check=False).stdout  # noqa: S603
