"""How tests share the machine when they are dealt out to workers (``pytest -n``)."""

from __future__ import annotations

import os

import pytest

_WORKERS_BEYOND_CORES = 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: most of what end-to-end tests do is wait for the system's processes."""
    return len(os.sched_getaffinity(0)) + _WORKERS_BEYOND_CORES if hasattr(os, "sched_getaffinity") else 2


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
