"""SQS: one row for each message, written before its sender is answered.

A message comes back as it was sent: visible, or still delayed. That it had been received is not kept: its
receiver has gone with the server, or gets it twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import sqs

from local.persistence.store import Store

Message = dict[str, Any]

_KIND = "messages"
# No message leaves a queue sooner without having been received.
_SHORTEST_RETENTION_SECONDS = 60


class Queues:
    """Keeps the messages of all queues."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def install(self) -> None:
        """From here on every queue that is made keeps its messages."""
        sqs._queues = _QueuesByScope(self._store)

    @staticmethod
    def state() -> dict[str, Any]:
        """The state of SQS without any message."""
        return {
            "queues": {
                scoped_key: {name: value for name, value in queue.items() if name != "messages"}
                for scoped_key, queue in sqs._queues.all_items()
            }
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Puts queues and messages back."""
        messages: dict[str, list[Message]] = {}
        for (arn, _), message in self._store.read(_KIND):
            messages.setdefault(arn, []).append(message)
        for (account, region, url), queue in state["queues"].items():
            waiting = messages.pop(queue["attributes"]["QueueArn"], [])
            sqs._queues.set_scoped(account, region, url, {**queue, "messages": waiting})
        sqs._rebuild_queue_name_index()
        # Their queue was deleted, and the server killed before they were.
        for arn, orphans in messages.items():
            self._store.put(_KIND, {(arn, message["id"]): None for message in orphans})


class _QueuesByScope(AccountRegionScopedDict):  # type: ignore[misc]
    """MiniStack's queues, each of them one that keeps its messages."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def __setitem__(self, url: str, queue: dict[str, Any]) -> None:
        super().__setitem__(url, _Queue(queue, self._store))

    def set_scoped(self, account_id: str, region: str, url: str, queue: dict[str, Any]) -> None:
        super().set_scoped(account_id, region, url, _Queue(queue, self._store))

    def pop(self, url: str, *default: Any) -> Any:
        return _emptied(super().pop(url, *default))

    def pop_scoped(self, account_id: str, region: str, url: str, *default: Any) -> Any:
        return _emptied(super().pop_scoped(account_id, region, url, *default))


def _emptied(queue: dict[str, Any] | None) -> dict[str, Any] | None:
    if queue:
        queue["messages"].clear()
    return queue


class _Queue(dict[str, Any]):
    """A queue whose list of messages always is the same one."""

    def __init__(self, queue: dict[str, Any], store: Store) -> None:
        super().__init__(queue)
        arn = queue["attributes"]["QueueArn"]
        super().__setitem__("messages", _Messages(arn, store, queue["messages"]))

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "messages":
            self["messages"].keep(value)
        else:
            super().__setitem__(name, value)


class _Messages(list[Message]):
    """The messages of a queue, and their rows.

    To delete messages MiniStack makes a list of the others and puts it in place of the old one, which loses
    what another thread has sent meanwhile. Here only those go that somebody has received.
    """

    def __init__(self, arn: str, store: Store, messages: Iterable[Message]) -> None:
        super().__init__()
        self._arn = arn
        self._store = store
        self._lock = threading.Lock()
        for message in messages:
            sqs._ensure_msg_fields(message)
            super().append(message)

    def append(self, message: Message) -> None:
        self._store.put(_KIND, {(self._arn, message["id"]): message})
        with self._lock:
            super().append(message)

    def remove(self, message: Message) -> None:
        with self._lock:
            super().remove(message)
        self._forget([message])

    def clear(self) -> None:
        with self._lock:
            gone = list(self)
            super().clear()
        self._forget(gone)

    def keep(self, messages: Iterable[Message]) -> None:
        """Removes the messages that are not among these, apart from those that have just come."""
        kept = {id(message) for message in messages}
        just_now = time.time() - _SHORTEST_RETENTION_SECONDS
        with self._lock:
            gone = [
                message
                for message in self
                if id(message) not in kept and (message["receive_count"] or message["sent_at"] < just_now)
            ]
            going = {id(message) for message in gone}
            self[:] = [message for message in self if id(message) not in going]
        self._forget(gone)

    def _forget(self, messages: Iterable[Message]) -> None:
        self._store.put(_KIND, {(self._arn, message["id"]): None for message in messages})
