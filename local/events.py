"""Puts service events (`aws.batch`, `aws.sagemaker`) on the default event bus, in order."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

from ministack.services import eventbridge

from local.persistence.outbox import Outbox
from local.scope import Scope

logger = logging.getLogger("local.events")

_TAG = "bus"


class EventEmitter:
    """One thread that publishes, so that a slow target never holds up a job, and order is kept.

    PutEvents refuses `aws.*` sources to callers, as AWS does; MiniStack has a door for built-in emitters.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._queue: queue.SimpleQueue[tuple[int, Scope, dict[str, Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="local-events").start()

    def emit(
        self, scope: Scope, source: str, detail_type: str, resource: str, detail: Mapping[str, Any]
    ) -> None:
        """Queues one event, which outlives the server from here on; `detail` must be JSON."""
        entry = {
            "Source": source,
            "DetailType": detail_type,
            "Resources": [resource],
            "Detail": json.dumps(detail),
        }
        self._queue.put((self._outbox.add((_TAG, scope.account, scope.region, entry)), scope, entry))

    def resume(self) -> None:
        """Queues what the last server left."""
        for number, (_, account, region, entry) in self._outbox.left(_TAG):
            self._queue.put((number, Scope(account, region), entry))

    def _run(self) -> None:
        while True:
            number, scope, entry = self._queue.get()
            try:
                with scope.pinned():
                    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
            except Exception:
                logger.exception("cannot deliver %s", entry["DetailType"])
            self._outbox.remove(number)
