"""The DynamoDB of the simulation answers as moto's does, whatever is asked of it."""

from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from simulation.services.dynamodb import DynamoDb
from simulation.services.refusal import RefusedError
from simulation.wiring import Table

TABLE = Table("birds", ("nest", "egg"), {"hatched": ("hatched", "egg")})

TEXTS = st.sampled_from(["a", "ab", "b", "1"])
NUMBERS = st.sampled_from(["0", "1", "-2", "10", "0.5"])
SCALARS = st.one_of(
    TEXTS.map(lambda one: {"S": one}),
    NUMBERS.map(lambda one: {"N": one}),
    st.booleans().map(lambda b: {"BOOL": b}),
)
LISTS = st.lists(SCALARS, max_size=2).map(lambda some: {"L": some})
VALUES = st.one_of(SCALARS, LISTS, st.dictionaries(TEXTS, SCALARS, max_size=2).map(lambda some: {"M": some}))
NAMES = st.sampled_from(["x", "y", "hatched"])
KEYS = st.builds(
    lambda nest, egg: {"nest": {"S": nest}, "egg": {"S": egg}}, TEXTS, st.sampled_from(["1", "2"])
)


class Expression:
    """Builds an expression with its placeholders."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, name: str) -> str:
        self.names[f"#{name}"] = name
        return f"#{name}"

    def value(self, value: Any) -> str:
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def request(self, **texts: str) -> dict[str, Any]:
        told: dict[str, Any] = {key: text for key, text in texts.items() if text}
        if self.names:
            told["ExpressionAttributeNames"] = self.names
        if self.values:
            told["ExpressionAttributeValues"] = self.values
        return told


@st.composite
def conditions(draw: Any, expression: Expression, depth: int = 2) -> str:
    kinds = ["compare", "exists", "absent", "in", "between", "begins", "contains"]
    if depth:
        kinds += ["and", "or", "not"]
    kind = draw(st.sampled_from(kinds))
    if kind in ("and", "or"):
        one, other = (draw(conditions(expression, depth - 1)) for _ in range(2))
        return f"({one}) {kind.upper()} ({other})"
    if kind == "not":
        return f"NOT ({draw(conditions(expression, depth - 1))})"
    if kind in ("compare", "exists", "absent", "in"):
        name = expression.name(draw(NAMES))
    if kind == "compare":
        # moto orders texts and numbers against each other, and answers with an exception.
        operator = draw(st.sampled_from(["=", "<>"]))
        return f"{name} {operator} {expression.value(draw(VALUES))}"
    if kind in ("exists", "absent"):
        return f"attribute_{'exists' if kind == 'exists' else 'not_exists'} ({name})"
    if kind == "in":
        return f"{name} IN ({', '.join(expression.value(draw(SCALARS)) for _ in range(2))})"
    egg = expression.name("egg")
    if kind == "between":
        return f"{egg} BETWEEN {expression.value({'S': '1'})} AND {expression.value({'S': draw(TEXTS)})}"
    if kind == "begins":
        return f"begins_with ({egg}, {expression.value({'S': draw(TEXTS)})})"
    return f"contains ({egg}, {expression.value({'S': draw(TEXTS)})})"


@st.composite
def updates(draw: Any, expression: Expression) -> str:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    clauses: dict[str, list[str]] = {}
    for one in names:
        name = expression.name(one)
        verb = draw(st.sampled_from(["set", "set", "remove", "add", "append", "default", "plus"]))
        if one == "hatched":
            verb = "remove" if verb != "set" else verb
        if verb == "remove":
            clauses.setdefault("REMOVE", []).append(name)
        elif verb == "add":
            clauses.setdefault("ADD", []).append(f"{name} {expression.value({'N': draw(NUMBERS)})}")
        elif verb == "append":
            empty, more = expression.value({"L": []}), expression.value(draw(LISTS))
            clauses.setdefault("SET", []).append(
                f"{name} = list_append (if_not_exists ({name}, {empty}), {more})"
            )
        elif verb == "default":
            clauses.setdefault("SET", []).append(
                f"{name} = if_not_exists ({name}, {expression.value(draw(VALUES))})"
            )
        elif verb == "plus":
            clauses.setdefault("SET", []).append(
                f"{name} = {name} + {expression.value({'N': draw(NUMBERS)})}"
            )
        else:
            value = {"S": draw(TEXTS)} if one == "hatched" else draw(VALUES)
            clauses.setdefault("SET", []).append(f"{name} = {expression.value(value)}")
    return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items())


ITEMS = st.builds(
    lambda key, x, hatched: {
        **key,
        **({"x": x} if x else {}),
        **({"hatched": {"S": hatched}} if hatched else {}),
    },
    KEYS,
    st.none() | VALUES,
    st.none() | TEXTS,
)


@st.composite
def single_writes(draw: Any) -> tuple[str, dict[str, Any]]:
    expression = Expression()
    asked = draw(st.booleans())
    kind = draw(st.sampled_from(["Put", "Update", "Update", "Delete"]))
    told: dict[str, Any] = {"TableName": "birds"}
    told["Item" if kind == "Put" else "Key"] = draw(ITEMS if kind == "Put" else KEYS)
    update = draw(updates(expression)) if kind == "Update" else ""
    held = draw(conditions(expression)) if asked else ""
    return kind, {**told, **expression.request(UpdateExpression=update, ConditionExpression=held)}


@st.composite
def operations(draw: Any) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(["write", "write", "write", "get", "query", "index", "transact", "batch"]))
    if kind == "write":
        what, told = draw(single_writes())
        returned = draw(
            st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW"] if what == "Update" else ["NONE", "ALL_OLD"])
        )
        return f"{what.lower()}_item", {**told, "ReturnValues": returned}
    if kind == "get":
        return "get_item", {"TableName": "birds", "Key": draw(KEYS), "ConsistentRead": True}
    if kind == "batch":
        items = draw(
            st.lists(ITEMS, min_size=1, max_size=2, unique_by=lambda i: (i["nest"]["S"], i["egg"]["S"]))
        )
        return "batch_write_item", {
            "RequestItems": {"birds": [{"PutRequest": {"Item": one}} for one in items]}
        }
    if kind == "transact":
        some = draw(st.lists(single_writes(), min_size=1, max_size=3))
        return "transact_write_items", {"TransactItems": [{what: told} for what, told in some]}
    expression = Expression()
    key = "hatched" if kind == "index" else "nest"
    text = f"{expression.name(key)} = {expression.value({'S': draw(TEXTS)})}"
    if draw(st.booleans()):
        text += f" AND {expression.name('egg')} >= {expression.value({'S': draw(TEXTS)})}"
    told = {"TableName": "birds", **expression.request(KeyConditionExpression=text)}
    if kind == "index":
        told["IndexName"] = "hatched"
    elif draw(st.booleans()):
        told["ScanIndexForward"] = False
    return "query", told


def comparable(answer: dict[str, Any]) -> Any:
    """What matters of an answer; moto leaves items of equal index keys in any order."""
    answer = plain(answer)
    items = answer.get("Items")
    return {
        "items": sorted(items, key=str) if items is not None else None,
        "item": answer.get("Item"),
        "attributes": answer.get("Attributes"),
        "count": answer.get("Count"),
    }


def plain(value: Any) -> Any:
    """Numbers in one spelling: moto leaves the trailing zeros that DynamoDB takes away."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {
            key: f"{Decimal(one).normalize():f}" if key == "N" else plain(one) for key, one in value.items()
        }
    return value


@pytest.fixture(scope="module")
def moto_client() -> Any:
    with mock_aws():
        yield boto3.client(
            "dynamodb", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
        )


def fresh_table(client: Any) -> None:
    if "birds" in client.list_tables()["TableNames"]:
        client.delete_table(TableName="birds")
    client.create_table(
        TableName="birds",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("nest", "egg", "hatched")
        ],
        KeySchema=[
            {"AttributeName": "nest", "KeyType": "HASH"},
            {"AttributeName": "egg", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "hatched",
                "KeySchema": [
                    {"AttributeName": "hatched", "KeyType": "HASH"},
                    {"AttributeName": "egg", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(asked=st.lists(operations(), min_size=1, max_size=25))
def test_it_answers_as_moto_does(moto_client: Any, asked: list[tuple[str, dict[str, Any]]]) -> None:
    fresh_table(moto_client)
    ours = DynamoDb({"birds": TABLE})
    for operation, request in asked:
        try:
            expected = comparable(getattr(moto_client, operation)(**request))
        except ClientError as error:
            expected = (
                error.response["Error"]["Code"],
                [reason["Code"] for reason in error.response.get("CancellationReasons", [])],
            )
        try:
            answer = comparable(getattr(ours, operation)(request))
        except RefusedError as refused:
            answer = refused.code, [reason["Code"] for reason in refused.more.get("CancellationReasons", [])]
        assert answer == expected, (operation, request)
    everything = moto_client.scan(TableName="birds", ConsistentRead=True)["Items"]
    assert sorted(plain(list(ours.items("birds").values())), key=str) == sorted(plain(everything), key=str)
