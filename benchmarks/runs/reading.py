"""Counts what is read from DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from pynamodb.connection.base import Connection


@dataclass
class Reads:
    """Requests to DynamoDB, and the items it had to look at for them."""

    requests: int = 0
    items: int = 0


@contextmanager
def reads_counted() -> Iterator[Reads]:
    """Within, every request of PynamoDB is counted."""
    reads = Reads()
    original = Connection._make_api_call

    def counted(self: Connection, operation: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        answer = original(self, operation, *arguments, **named)
        reads.requests += 1
        # What a Query or Scan looked at, whatever it returned; a GetItem looks at one.
        reads.items += answer.get("ScannedCount", 1)
        return answer

    with patch.object(Connection, "_make_api_call", counted):
        yield reads
