"""The `nestbox` command, as a person would run it."""

from __future__ import annotations

import os
import subprocess
import sys


def nestbox(*arguments: object) -> None:
    """Run `nestbox` against the AWS on this machine; raises RuntimeError with what it printed if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "NESTBOX_LOCAL": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"nestbox {arguments[0]} failed: {done.stdout}{done.stderr}")
