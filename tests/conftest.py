"""How tests are dealt out to workers (``pytest -n``): what shares a costly fixture stays on one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a core of its own, and with it all processes that its tests start.

    Two trainings that each count on every core wait for each other's threads most of the time.
    """
    worker = getattr(config, "workerinput", None)
    if worker is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        number = int(worker["workerid"].removeprefix("gw"))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together: the end-to-end tests (one deployed stack), a folder of integration tests, a file."""
    for item in items:
        ring, *rest = item.path.relative_to(_TESTS).parts
        shared = {"e2e": [], "integration": rest[:1]}.get(ring, rest)
        item.add_marker(pytest.mark.xdist_group("/".join([ring, *shared])))
