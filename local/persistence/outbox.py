"""Events that are on their way: written before whatever they tell of is answered, removed once delivered.

A killed server delivers what is left when it starts again, so an event may come twice, and none is lost.
"""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import s3

from local.persistence.store import Store

_KIND = "outbox"


class Outbox:
    """Entries by number."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = itertools.count(1 + max((key[0] for key, _ in store.read(_KIND)), default=0))

    def add(self, entry: Any) -> int:
        """Keeps an entry until `remove` is called with the number it is given."""
        number = next(self._numbers)
        self._store.put(_KIND, {(number,): entry})
        return number

    def remove(self, number: int) -> None:
        """Forgets a delivered entry."""
        self._store.put(_KIND, {(number,): None})

    def left(self, tag: str) -> list[tuple[int, Any]]:
        """The entries whose first member is `tag` with their numbers, oldest first."""
        return [(key[0], entry) for key, entry in self._store.read(_KIND) if entry[0] == tag]


class S3Events:
    """S3's events, which MiniStack delivers on a thread after it has answered."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._fire: Callable[..., None] = s3._fire_s3_event_async

    def install(self) -> None:
        """From here on an event is in the outbox until it is delivered."""
        number: contextvars.ContextVar[int | None] = contextvars.ContextVar("outbox_number", default=None)
        fire_later, fire_now = s3._fire_s3_event_async, s3._fire_s3_event

        def fire_async(bucket: str, *arguments: Any, **named: Any) -> None:
            if bucket not in s3._bucket_notifications:
                return
            entry = ("s3", get_account_id(), get_region(), (bucket, *arguments), named)
            token = number.set(self._outbox.add(entry))
            try:
                fire_later(bucket, *arguments, **named)  # its thread gets a copy of this context
            finally:
                number.reset(token)

        def fire(*arguments: Any, **named: Any) -> None:
            fire_now(*arguments, **named)
            if (delivered := number.get()) is not None:
                self._outbox.remove(delivered)

        s3._fire_s3_event_async, s3._fire_s3_event = fire_async, fire
        self._fire = fire_async

    def resume(self) -> None:
        """Delivers what the last server left."""
        for number, (_, account, region, arguments, named) in self._outbox.left("s3"):
            with request_scope(account, region):
                self._fire(*arguments, **named)
            self._outbox.remove(number)
