"""Saves what has changed: before a request is answered where that is cheap, the rest twice a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.services import lambda_svc

from local.errors import ServerError
from local.ministack_version import MINISTACK_VERSION
from local.persistence.logs import Logs
from local.persistence.outbox import Outbox, S3Events
from local.persistence.queues import Queues
from local.persistence.services import Services
from local.persistence.store import Store
from local.persistence.tables import Tables

logger = logging.getLogger("local.persistence")

Query = dict[str, list[str]]
Handler = Callable[[str, str, dict[str, str], bytes, Query], Awaitable[Any]]

_MADE_BY = "made by"
_FORMAT = 1
_TICK_SECONDS = 0.5
# Everything is looked at this often, whatever changed it.
_SWEEP_SECONDS = 15.0
_ATTEMPTS = 5

_READING = ("Get", "List", "Describe", "BatchGet", "Head", "Query", "Scan", "Filter", "Simulate", "Validate")
# Each item and each message has a row of its own, which has been written or is about to be.
_ON_ITEMS = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
_ON_MESSAGES = ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
# Metrics come often and together are large: of these half a second may be lost, and of sessions.
_ON_METRICS = "PutMetricData"


class Keeper:
    """What MiniStack holds in memory, on disk."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._tables = Tables(store)
        self._queues = Queues(store)
        self._logs = Logs(store)
        self._services = Services(store, self._tables, self._queues, self._logs)
        self._s3_events = S3Events(outbox)
        self._dirty: set[str] = set()
        self._provisioning = False
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def install(self, restored: Callable[[], None]) -> None:
        """Puts itself around MiniStack's handlers, and in the place of its own persistence.

        `restored` is called, before the server answers, when MiniStack's services are as they were.
        """
        self._tables.install()
        self._queues.install()
        self._s3_events.install()
        for service, handler in list(app.SERVICE_HANDLERS.items()):
            app.SERVICE_HANDLERS[service] = self._around(service, handler)
        app.PERSIST_STATE = True
        app.save_all = lambda _states: self.close()

        def restore() -> None:
            self.restore()
            restored()

        app._load_persisted_state = restore

    def restore(self) -> None:
        """Puts back what an earlier server kept, and saves from here on."""
        self._services.restore()
        threading.Thread(target=self._save_for_ever, daemon=True, name="local-keeper").start()

    def resume(self) -> None:
        """Goes on with what the earlier server was doing; call once this one answers."""
        self._s3_events.resume()
        if lambda_svc._esms.has_any():
            lambda_svc._ensure_poller()

    def close(self) -> None:
        """Saves everything for the last time."""
        self._closed.set()
        self._save(self._services.names())
        self._store.close()

    def _around(self, service: str, handler: Handler) -> Handler:
        config = app.SERVICE_REGISTRY.get(service)
        if config is None or service in ("batch", "sagemaker"):
            return handler
        names = {config.get("state_key", config["module"]), *config.get("sub_modules", ())}

        async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: Query) -> Any:
            answer = await handler(method, path, headers, body, query)
            operation = _operation(method, headers, body, query)
            reads = method in ("GET", "HEAD") or operation.startswith(_READING)
            if service == "cloudformation":
                # Whoever is told that a stack is complete finds it so, with its resources, ever after.
                self._provisioning |= not reads
                self._save_what_stacks_made()
                return answer
            if reads:
                return answer
            if service == "dynamodb" and operation in _ON_ITEMS:
                self._tables.flush()
            elif service == "logs" and operation == "PutLogEvents":
                self._logs.save()
            elif service == "sts" or operation == _ON_METRICS or operation.startswith(_ON_MESSAGES):
                self._note(names)
            elif not _on_contents(service, path):
                self._tables.flush()
                self._logs.save()
                self._save(names)
            return answer

        return handle

    def _save_for_ever(self) -> None:
        swept = time.monotonic()
        while not self._closed.wait(_TICK_SECONDS):
            try:
                self._tables.flush()
                self._logs.save()
                self._save_what_stacks_made()
                if not self._provisioning and time.monotonic() > swept + _SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._note(self._services.names())
                with self._lock:
                    dirty, self._dirty = self._dirty, set()
                self._save(dirty)
            except Exception:
                logger.exception("cannot save")

    def _save_what_stacks_made(self) -> None:
        """Saves all services once a stack is made or changed, which takes no requests to them.

        Not before: a deployment that is cut short has not taken place, and can be begun again.
        """
        if self._provisioning and not self._services.provisioning():
            self._provisioning = False
            self._tables.flush()
            self._save(self._services.names())

    def _note(self, names: Iterable[str]) -> None:
        with self._lock:
            self._dirty |= set(names)

    def _save(self, names: Iterable[str]) -> None:
        """Saves services; those that other threads keep changing are left for the next time."""
        for _ in range(_ATTEMPTS):
            try:
                self._services.save(names)
            except RuntimeError as error:  # "dictionary changed size during iteration"
                logger.debug("again: %s", error)
            else:
                return
        self._note(names)


def open_store(file: Path, port: int) -> Store:
    """The store in a file. Raises ServerError when it was made by a server unlike this one.

    Queue URLs and environments of functions name the port, so a state cannot move to another.
    """
    store = Store(file)
    mine = {"port": port, "ministack": MINISTACK_VERSION, "format": _FORMAT}
    made_by = next((value for _, value in store.read(_MADE_BY)), None)
    if made_by is None:
        store.put(_MADE_BY, {(): mine})
    elif made_by != mine:
        raise ServerError(
            f"the state in {file.parent} was made by a server with {made_by}, this one has {mine}: choose "
            "the same, or start afresh with `python -m local up --fresh` (`make local FRESH=1`)"
        )
    return store


def _operation(method: str, headers: dict[str, str], body: bytes, query: Query) -> str:
    """The operation's name in the protocols that name it; otherwise empty."""
    if target := headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    if action := query.get("Action"):
        return action[0]
    if method == "POST" and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(body.decode("utf-8", errors="replace")).get("Action", [""])[0]
    return ""


def _on_contents(service: str, path: str) -> bool:
    """Whether a request is about an object of a bucket, which MiniStack has written, or runs a function."""
    if service == "s3":
        return bool(path.strip("/").partition("/")[2])
    return service == "lambda" and path.endswith("/invocations")
