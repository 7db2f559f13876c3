"""Puts service events (`aws.batch`, `aws.sagemaker`) on the default event bus, in order."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

from ministack.services import eventbridge

from local.scope import Scope

logger = logging.getLogger("local.events")


class EventEmitter:
    """One thread that publishes, so that a slow target never holds up a job, and order is kept.

    PutEvents refuses `aws.*` sources to callers, as AWS does; MiniStack has a door for built-in emitters.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Scope, dict[str, Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="local-events").start()

    def emit(
        self, scope: Scope, source: str, detail_type: str, resource: str, detail: Mapping[str, Any]
    ) -> None:
        """Queues one event; `detail` must be JSON."""
        entry = {
            "Source": source,
            "DetailType": detail_type,
            "Resources": [resource],
            "Detail": json.dumps(detail),
        }
        self._queue.put((scope, entry))

    def _run(self) -> None:
        while True:
            scope, entry = self._queue.get()
            try:
                with scope.pinned():
                    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
            except Exception:
                logger.exception("cannot deliver %s", entry["DetailType"])
