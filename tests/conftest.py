"""How tests share the machine when they are dealt out to workers (``pytest -n``)."""

from __future__ import annotations

import os
from typing import Any

import pytest

_WORKERS_BEYOND_CORES = 1
_ON_ONE_STACK = ("tests/e2e/test_everyday.py", "tests/e2e/test_slices.py", "tests/e2e/test_survival.py")
"""One worker takes these, one after another, so that their stack is deployed once."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: most of what end-to-end tests do is wait for the system's processes."""
    return len(os.sched_getaffinity(0)) + _WORKERS_BEYOND_CORES if hasattr(os, "sched_getaffinity") else 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out files, as ``--dist loadfile`` does, but those that share a stack together."""
    from xdist.scheduler import LoadFileScheduling  # only there where tests are dealt out

    class OneStack(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return _ON_ONE_STACK[0] if file in _ON_ONE_STACK else file

    return OneStack(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a core of its own, and with it all processes that its tests start.

    Two trainings that each count on every core wait for each other's threads most of the time.
    """
    # Commands write as into a pipe of no width; the plugin tells its workers the terminal's.
    os.environ.pop("COLUMNS", None)
    worker = getattr(config, "workerinput", None)
    if worker is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        number = int(worker["workerid"].removeprefix("gw"))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
