"""CloudWatch Logs: streams in pieces, of which only the last changes while a stream grows."""

from __future__ import annotations

import threading
from typing import Any

from ministack.services import cloudwatch_logs

from local.persistence.store import Key, Store

_GROUPS, _STREAMS, _PIECES = "log groups", "log streams", "log pieces"
_PIECE_EVENTS = 500
# Without `log_records` and `queries`: copies of every event, for Logs Insights.
_OTHER_PARTS = (
    "destinations",
    "resource_policies",
    "log_group_policies",
    "metric_filters",
    "delivery_sources",
    "delivery_destinations",
    "deliveries",
)


class Logs:
    """The log groups, saved as far as they have grown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._groups: dict[Key, dict[str, Any]] = {}
        # Of each stream: its list of events (another one after a late batch), and how many are saved.
        self._saved: dict[Key, tuple[list[Any], int]] = {}
        self._writing = threading.Lock()

    def save(self) -> None:
        """Writes new events, and what has become of groups and streams."""
        with self._writing:
            self._save()

    @staticmethod
    def state() -> dict[str, Any]:
        """The rest of CloudWatch Logs."""
        return {name: getattr(cloudwatch_logs, f"_{name}") for name in _OTHER_PARTS}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts groups, streams and events back."""
        for (account, region, name), properties in self._store.read(_GROUPS):
            cloudwatch_logs._log_groups.set_scoped(account, region, name, {**properties, "streams": {}})
            self._groups[account, region, name] = properties
        events: dict[Key, list[Any]] = {}
        for (*stream, _), piece in sorted(self._store.read(_PIECES), key=lambda row: row[0]):
            events.setdefault(tuple(stream), []).extend(piece)
        for (account, region, group, name), properties in self._store.read(_STREAMS):
            found = cloudwatch_logs._log_groups.get_scoped(account, region, group)
            if found is None:
                continue
            key = (account, region, group, name)
            history = events.get(key, [])
            found["streams"][name] = {**properties, "events": history}
            self._saved[key] = (history, len(history))
        cloudwatch_logs.load_persisted_state(state)

    def _save(self) -> None:
        rows: list[tuple[str, Key, Any]] = []
        groups, streams = set(), set()
        with cloudwatch_logs._log_events_lock:
            for group_key, group in cloudwatch_logs._log_groups.all_items():
                groups.add(group_key)
                properties = {name: value for name, value in group.items() if name != "streams"}
                if self._groups.get(group_key) != properties:
                    self._groups[group_key] = dict(properties)
                    rows.append((_GROUPS, group_key, properties))
                for name, stream in list(group["streams"].items()):
                    key = (*group_key, name)
                    streams.add(key)
                    rows += self._grown(key, stream)
        rows += [(_GROUPS, key, None) for key in self._groups.keys() - groups]
        for key in self._saved.keys() - streams:
            rows += self._forgotten(key)
        for key in self._groups.keys() - groups:
            del self._groups[key]
        if rows:
            self._store.put_all(rows)

    def _grown(self, key: Key, stream: dict[str, Any]) -> list[tuple[str, Key, Any]]:
        events: list[Any] = stream["events"]
        known, count = self._saved.get(key, (None, 0))
        grown = known is events
        if grown and count == len(events):
            return []
        first = count // _PIECE_EVENTS if grown else 0
        pieces = range(first, -(-len(events) // _PIECE_EVENTS))
        self._saved[key] = (events, len(events))
        properties = {name: value for name, value in stream.items() if name != "events"}
        return [
            (_STREAMS, key, properties),
            *((_PIECES, (*key, n), events[n * _PIECE_EVENTS : (n + 1) * _PIECE_EVENTS]) for n in pieces),
        ]

    def _forgotten(self, key: Key) -> list[tuple[str, Key, Any]]:
        _, count = self._saved.pop(key)
        pieces = range(-(-count // _PIECE_EVENTS))
        return [(_STREAMS, key, None), *((_PIECES, (*key, n), None) for n in pieces)]
