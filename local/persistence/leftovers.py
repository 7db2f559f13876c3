"""Processes that a killed server has left behind.

Jobs and endpoints end with their server, and so do Lambda workers, unless they are in the middle of an
invocation. On AWS such an invocation would go with its machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def end_leftovers(state: Path) -> int:
    """Kills every process whose TMPDIR is below the state directory; how many there were."""
    ended = 0
    for entry in Path("/proc").glob("[0-9]*"):
        # Ended meanwhile, or another user's.
        with contextlib.suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")
            temporary = next((v for v in variables if v.startswith(b"TMPDIR=")), b"").removeprefix(b"TMPDIR=")
            if Path(os.fsdecode(temporary)).is_relative_to(state) and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)
                ended += 1
    return ended
