"""DynamoDB in memory: conditional writes, transactions, indexes and plain reads that lag behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.services import expressions
from simulation.services.expressions import Item
from simulation.services.refusal import RefusedError, only
from simulation.wiring import Table

Key = tuple[str, ...]
CONDITION_FAILED = "The conditional request failed"


@dataclass(frozen=True)
class Write:
    """One item that was written, as it was and as it is."""

    table: str
    key: Key
    before: Item | None
    after: Item | None


class _Replica:
    """A copy that learns of writes a little later, those of one item in their order."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self._coming: list[tuple[float, Key, Item | None]] = []
        self._latest: dict[Key, float] = {}

    def learn(self, when: float, key: Key, item: Item | None) -> None:
        when = max(when, self._latest.get(key, 0.0))
        self._latest[key] = when
        self._coming.append((when, key, item))

    def catch_up(self, now: float) -> dict[Key, Item]:
        if self._coming:
            still = []
            for when, key, item in self._coming:
                if when > now:
                    still.append((when, key, item))
                elif item is None:
                    self.items.pop(key, None)
                else:
                    self.items[key] = item
            self._coming = still
        return self.items


@dataclass
class _Stored:
    table: Table
    items: dict[Key, Item] = field(default_factory=dict)
    replica: _Replica = field(default_factory=_Replica)
    indexes: dict[str, _Replica] = field(default_factory=dict)


def no_lag(_what: str) -> float:
    """A replica that is never behind."""
    return 0.0


class DynamoDb:
    """The tables. ``lag`` says, of a replica by name, how many seconds it is behind with one write; ``page``
    how many items one page of a query has."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        clock: Callable[[], float] = lambda: 0.0,
        lag: Callable[[str], float] = no_lag,
        page: int = 1000,
    ) -> None:
        self._tables = {
            name: _Stored(table, indexes={index: _Replica() for index in table.indexes})
            for name, table in tables.items()
        }
        self._clock = clock
        self._lag = lag
        self._most = page
        self._tokens: dict[str, None] = {}
        self.on_write: list[Callable[[Write], None]] = []
        self.writes = 0

    def items(self, table: str) -> dict[Key, Item]:
        """What a table holds, by key."""
        return self._tables[table].items

    # -- operations

    def get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "TableName", "Key", "ConsistentRead", *_PROJECTED)
        stored = self._table(request)
        key = self._key(stored, request["Key"])
        items = stored.items if request.get("ConsistentRead") else stored.replica.catch_up(self._clock())
        item = items.get(key)
        return {"Item": _projected(request, item)} if item is not None else {}

    def batch_get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "RequestItems", "ReturnConsumedCapacity")
        responses: dict[str, list[Item]] = {}
        for name, asked in request["RequestItems"].items():
            only(asked, "Keys", "ConsistentRead", *_PROJECTED)
            one = {key: value for key, value in asked.items() if key != "Keys"}
            found = (self.get_item({"TableName": name, "Key": key, **one}) for key in asked["Keys"])
            responses[name] = [answer["Item"] for answer in found if answer]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(
            request,
            "TableName",
            "IndexName",
            "KeyConditionExpression",
            "FilterExpression",
            "ExpressionAttributeValues",
            "ConsistentRead",
            "ScanIndexForward",
            "Limit",
            "ExclusiveStartKey",
            "Select",
            *_PROJECTED,
        )
        index = request.get("IndexName")
        holds = expressions.condition(request["KeyConditionExpression"])
        names, values = _placeholders(request)
        stored = self._table(request)
        keys = stored.table.indexes[index] if index else stored.table.keys
        found = [
            item
            for item in self._readable(request).values()
            if all(k in item for k in keys) and holds(item, names, values)
        ]
        return self._page(
            request, found, [*keys[1:], *stored.table.keys], sorted({*keys, *stored.table.keys})
        )

    def scan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(
            request,
            "TableName",
            "IndexName",
            "FilterExpression",
            "ExpressionAttributeValues",
            "ConsistentRead",
            "Limit",
            "ExclusiveStartKey",
            "Select",
            *_PROJECTED,
        )
        stored = self._table(request)
        keys = list(stored.table.keys)
        return self._page(request, list(self._readable(request).values()), keys, keys)

    def put_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._single("Put", request)

    def update_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._single("Update", request)

    def delete_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._single("Delete", request)

    def batch_write_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "RequestItems", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics")
        writes = []
        for name, asked in request["RequestItems"].items():
            for one in asked:
                [(kind, told)] = one.items()
                writes.append(self._prepare(kind.removesuffix("Request"), {"TableName": name, **told}))
        if len({(write.table, write.key) for write in writes}) < len(writes):
            raise RefusedError("ValidationException", "Provided list of item keys contains duplicates")
        self._commit(writes)
        return {"UnprocessedItems": {}}

    def transact_write_items(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(
            request,
            "TransactItems",
            "ClientRequestToken",
            "ReturnConsumedCapacity",
            "ReturnItemCollectionMetrics",
        )
        token = request.get("ClientRequestToken")
        if token in self._tokens:
            return {}
        writes: list[Write] = []
        reasons: list[dict[str, Any]] = []
        asked = [next(iter(one.items())) for one in request["TransactItems"]]
        named = {
            (told["TableName"], self._key(self._table(told), told["Item"] if kind == "Put" else told["Key"]))
            for kind, told in asked
        }
        if len(named) < len(asked):
            raise RefusedError(
                "ValidationException", "Transaction request cannot include multiple operations on one item"
            )
        for kind, told in asked:
            try:
                writes.append(self._prepare(kind, told))
                reasons.append({"Code": "None"})
            except RefusedError as refused:
                if refused.code != "ConditionalCheckFailedException":
                    raise
                reasons.append({"Code": "ConditionalCheckFailed", "Message": refused.message})
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise RefusedError(
                "TransactionCanceledException",
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                CancellationReasons=reasons,
            )
        self._commit(writes)
        if token is not None:
            self._tokens[token] = None
        return {}

    # -- reading

    def _readable(self, request: Mapping[str, Any]) -> dict[Key, Item]:
        stored, index = self._table(request), request.get("IndexName")
        if index:
            if request.get("ConsistentRead"):
                raise RefusedError(
                    "ValidationException", "Consistent reads are not supported on global secondary indexes"
                )
            return stored.indexes[index].catch_up(self._clock())
        return stored.items if request.get("ConsistentRead") else stored.replica.catch_up(self._clock())

    def _page(
        self, request: Mapping[str, Any], found: list[Item], order: list[str], key_names: list[str]
    ) -> dict[str, Any]:
        def place(item: Item) -> list[Any]:
            return [expressions.comparable(item[name]) for name in order]

        backwards = request.get("ScanIndexForward") is False
        found.sort(key=place, reverse=backwards)
        start = request.get("ExclusiveStartKey")
        if start is not None:
            # The item that the last page ended with may be gone.
            after = place(start)
            found = [item for item in found if (place(item) < after if backwards else place(item) > after)]
        limit = min(request.get("Limit", self._most), self._most)
        answer: dict[str, Any] = {}
        if len(found) > limit:
            found = found[:limit]
            answer["LastEvaluatedKey"] = {name: found[-1][name] for name in key_names}
        names, values = _placeholders(request)
        kept = found
        if "FilterExpression" in request:
            holds = expressions.condition(request["FilterExpression"])
            kept = [item for item in found if holds(item, names, values)]
        answer |= {"Count": len(kept), "ScannedCount": len(found)}
        if request.get("Select") != "COUNT":
            answer["Items"] = [_projected(request, item) for item in kept]
        return answer

    # -- writing

    def _single(self, kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
        told = {k: v for k, v in request.items() if k not in _ONLY_TOLD}
        write = self._prepare(kind, told)
        self._commit([write])
        returned = request.get("ReturnValues", "NONE")
        if returned == "NONE":
            return {}
        item = {"ALL_NEW": write.after, "ALL_OLD": write.before}.get(returned, NotImplemented)
        if item is NotImplemented:
            raise NotImplementedError(f"ReturnValues {returned}")
        return {"Attributes": item} if item else {}

    def _prepare(self, kind: str, told: Mapping[str, Any]) -> Write:
        only(
            told,
            "TableName",
            "Key",
            "Item",
            "ConditionExpression",
            "UpdateExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
        )
        stored = self._table(told)
        key = self._key(stored, told["Item"] if kind == "Put" else told["Key"])
        before = stored.items.get(key)
        names, values = _placeholders(told)
        if "ConditionExpression" in told and not expressions.condition(told["ConditionExpression"])(
            before or {}, names, values
        ):
            raise RefusedError("ConditionalCheckFailedException", CONDITION_FAILED)
        after: Item | None
        if kind == "Put":
            after = dict(told["Item"])
        elif kind == "Delete":
            after = None
        elif kind == "ConditionCheck":
            after = before
        else:
            start = before if before is not None else dict(told["Key"])
            after = (
                expressions.update(told["UpdateExpression"], start, names, values)
                if "UpdateExpression" in told
                else start
            )
            if self._key(stored, after) != key:
                raise RefusedError(
                    "ValidationException", "Cannot update attribute. This attribute is part of the key"
                )
        if after is not None:
            _check_values(after)
            for index in stored.table.indexes.values():
                for name in index:
                    if name in after and "S" not in after[name]:
                        raise RefusedError("ValidationException", f"Type mismatch for index key {name}")
        return Write(stored.table.name, key, before, after)

    def _commit(self, writes: list[Write]) -> None:
        now = self._clock()
        for write in writes:
            stored = self._tables[write.table]
            if write.after is write.before:
                continue
            self.writes += 1
            if write.after is None:
                stored.items.pop(write.key, None)
            else:
                stored.items[write.key] = write.after
            stored.replica.learn(now + self._lag(write.table), write.key, write.after)
            for index, keys in stored.table.indexes.items():
                shown = write.after if write.after and all(name in write.after for name in keys) else None
                stored.indexes[index].learn(now + self._lag(f"{write.table}/{index}"), write.key, shown)
        for write in writes:
            for told in self.on_write:
                told(write)

    def _table(self, request: Mapping[str, Any]) -> _Stored:
        stored = self._tables.get(request["TableName"])
        if stored is None:
            raise RefusedError(
                "ResourceNotFoundException", f"Requested resource not found: Table: {request['TableName']}"
            )
        return stored

    def _key(self, stored: _Stored, item: Mapping[str, Any]) -> Key:
        missing = [name for name in stored.table.keys if name not in item]
        if missing:
            raise RefusedError(
                "ValidationException", f"One of the required keys was not given a value: {missing}"
            )
        return tuple(next(iter(item[name].values())) for name in stored.table.keys)


_PROJECTED = ("ProjectionExpression", "ExpressionAttributeNames", "ReturnConsumedCapacity")
_ONLY_TOLD = (
    "ReturnValues",
    "ReturnConsumedCapacity",
    "ReturnItemCollectionMetrics",
    "ReturnValuesOnConditionCheckFailure",
)


_EXPRESSIONS = (
    "ConditionExpression",
    "UpdateExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
)


def _placeholders(request: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    names = request.get("ExpressionAttributeNames") or {}
    values = request.get("ExpressionAttributeValues") or {}
    if names or values:
        used = expressions.placeholders(" ".join(request[name] for name in _EXPRESSIONS if name in request))
        if unused := (names.keys() | values.keys()) - used:
            raise RefusedError(
                "ValidationException", f"Value provided but unused in expressions: {sorted(unused)}"
            )
    return names, values


def _projected(request: Mapping[str, Any], item: Item) -> Item:
    text = request.get("ProjectionExpression")
    return expressions.projection(text)(item, _placeholders(request)[0]) if text else dict(item)


def _check_values(item: Item) -> None:
    for name, value in item.items():
        for kind in ("SS", "NS", "BS"):
            if kind in value and not value[kind]:
                raise RefusedError("ValidationException", f"An set may not be empty: {name}")
        if "N" in value:
            float(value["N"])
