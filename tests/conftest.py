"""How tests are dealt out to workers (``pytest -n``): what shares a costly fixture stays on one."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together: the end-to-end tests (one deployed stack), a folder of integration tests, a file."""
    for item in items:
        ring, *rest = item.path.relative_to(_TESTS).parts
        shared = {"e2e": [], "integration": rest[:1]}.get(ring, rest)
        item.add_marker(pytest.mark.xdist_group("/".join([ring, *shared])))
