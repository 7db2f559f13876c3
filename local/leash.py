"""Runs one command as a container runtime would, and never outlives the server that asked for it.

    python -I -S leash.py COMMAND [ARGUMENT …]

Standard input is a pipe from the server: `T` sends SIGTERM to the command (the container's process 1, and
only that), `K` kills it with everything it started, and the end of the pipe (the server is gone, however it
died) kills it too. The exit status is the command's; death by signal N is 128 + N, as Docker reports it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Starts the command, obeys the pipe, and returns the command's exit status."""
    # A handler, not SIG_IGN: an ignored signal would stay ignored in the command.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        child = subprocess.Popen(  # noqa: S603
            sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_the_leash
        )
    except OSError as error:
        print(f"exec {sys.argv[1]}: {error.strerror}", file=sys.stderr)
        return 127
    threading.Thread(target=_obey, args=(child,), daemon=True).start()
    status = child.wait()
    _kill_group(child)  # a container ends with its process 1
    return status if status >= 0 else 128 - status


def _die_with_the_leash() -> None:
    """Asks Linux to kill this process when the leash ends, also when that is killed itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _obey(child: "subprocess.Popen[bytes]") -> None:
    while order := os.read(0, 1):
        if order == b"T":
            child.terminate()
        elif order == b"K":
            _kill_group(child)
    _kill_group(child)


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
