"""DynamoDB: one row for each item, so that a write costs the same in a large table as in a small one."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from ministack.services import dynamodb

from local.persistence.store import Key, Store

Table = dict[str, Any]

# Counted again when the items come back.
_DERIVED = ("items", dynamodb._INDEX_MEMBERS, "ItemCount", "TableSizeBytes")


class Tables:
    """Notes the items that change, and writes them when asked to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed: dict[tuple[str, Key], tuple[Table, Key]] = {}
        self._swapped: dict[str, Table] = {}
        self._lock = threading.Lock()
        # Whoever finds nothing left to write must not return before another has written it.
        self._writing = threading.Lock()

    def install(self) -> None:
        """From here on changes are noted. MiniStack changes items in these three functions only."""
        set_item, remove_item = dynamodb._set_item, dynamodb._remove_item
        items_replaced = dynamodb._items_replaced

        def set_noted(table: Table, hash_value: Any, range_value: Any, item: Any) -> Any:
            old = set_item(table, hash_value, range_value, item)
            self._note(table, (hash_value, range_value))
            return old

        def remove_noted(table: Table, hash_value: Any, range_value: Any) -> Any:
            old = remove_item(table, hash_value, range_value)
            self._note(table, (hash_value, range_value))
            return old

        def replaced_noted(table: Table) -> None:
            items_replaced(table)
            with self._lock:
                self._swapped[table["TableArn"]] = table

        dynamodb._set_item, dynamodb._remove_item = set_noted, remove_noted
        dynamodb._items_replaced = replaced_noted

    def flush(self) -> None:
        """Writes what has changed since the last call, in one transaction."""
        with self._writing:
            self._flush()

    @staticmethod
    def state() -> dict[str, Any]:
        """The state of DynamoDB without any item."""
        tables = type(dynamodb._tables)()
        for scoped_key, table in dynamodb._tables.all_items():
            tables._data[scoped_key] = {k: v for k, v in table.items() if k not in _DERIVED}
        live = {key: getattr(dynamodb, f"_{key}") for key in _OTHER_PARTS}
        return {"tables": tables, **live}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts tables and items back."""
        for table in state["tables"].all_values():
            items: defaultdict[Any, dict[Any, Any]] = defaultdict(dict)
            for (hash_value, range_value), item in self._store.read(_kind(table["TableArn"])):
                items[hash_value][range_value] = item
            table["items"] = items
        dynamodb.load_persisted_state(state)
        for table in dynamodb._tables.all_values():
            dynamodb._update_counts(table)

    def _flush(self) -> None:
        with self._lock:
            if not self._changed and not self._swapped:
                return
            changed, self._changed = self._changed, {}
            swapped, self._swapped = self._swapped, {}
        for arn, table in swapped.items():
            self._store.drop(_kind(arn))
            rows = {
                (hash_value, range_value): item
                for hash_value, items in list(table["items"].items())
                for range_value, item in list(items.items())
            }
            self._store.put(_kind(arn), rows)
        self._store.put_all(
            (_kind(arn), key, table["items"].get(key[0], {}).get(key[1]))
            for (arn, key), (table, _) in changed.items()
        )

    def _note(self, table: Table, key: Key) -> None:
        with self._lock:
            self._changed[table["TableArn"], key] = (table, key)


_OTHER_PARTS = (
    "tags",
    "ttl_settings",
    "pitr_settings",
    "kinesis_destinations",
    "contributor_insights",
    "backups",
    "resource_policies",
    "exports",
    "imports",
)


def _kind(arn: str) -> str:
    return f"items of {arn}"
